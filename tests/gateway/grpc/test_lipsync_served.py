"""The command with a lip-sync server's ports, over a real Triton with seeded renderers."""

import asyncio
import io
import os
import re
import signal
import struct
import subprocess
import sys

import grpc
import numpy as np
import onnxruntime
import pytest
import websockets
from lipsync_packages import FEATURES, package
from PIL import Image

from emotalk_avatar.renderers.crops import unet_input
from emotalk_avatar.renderers.hearing import around
from emotalk_avatar.seed_package import SOUND, imported
from emotalk_avatar.store import AvatarStore
from emotalk_gateway.grpc.lipsync.service import NAME
from emotalk_gateway.grpc.messages import service

pytestmark = pytest.mark.server

HANG_S = 120
COMMAND = [sys.executable, "-m", "emotalk_cli", "gateway", "--port", "0"]


async def ask(target, method, **fields):
    request, answer, *_ = service(NAME)[method]
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary(f"/{NAME}/{method}", request.SerializeToString, answer.FromString)
        return await call(request(**fields), timeout=HANG_S)


def opened(jpeg):
    with Image.open(io.BytesIO(jpeg)) as picture:
        return np.asarray(picture).astype(np.int16)


async def test_a_package_speaks_through_both_ports(renderer_server, renderers, tmp_path):
    folder = package(tmp_path / "package")
    store = AvatarStore(tmp_path / "avatars")
    avatar = store.add(imported(folder))
    options = ["--url", renderer_server.grpc_url, "--avatars", str(store.folder)]
    options += ["--lipsync-port", "0", "--lipsync-websocket-port", "0"]
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = await asyncio.to_thread(process.stdout.readline)
        ports = re.search(r"lip-sync 127\.0\.0\.1:(\d+), lip-sync WebSocket http://127\.0\.0\.1:(\d+)", said)
        assert ports, said or process.stderr.read()
        target, url = f"127.0.0.1:{ports[1]}", f"ws://127.0.0.1:{ports[2]}/ws"
        found = await ask(target, "GenerateInference", model_name="Sanders", frame_id=2)
        assert found.success, found.error

        grey = 10 * 2  # of frame 2, over the same noise; decoded twice from video, so only about
        noise = np.random.default_rng(0).integers(0, 60, (20, 20, 3)).repeat(8, 0).repeat(8, 1)
        crop = Image.fromarray((noise + grey).astype(np.uint8)).crop((34, 40, 114, 120)).resize((328, 328))
        features = around(np.load(folder / SOUND), np.array([2]))
        inputs = {"CROP": unet_input(np.asarray(crop)[None]), "FEATURES": features}
        graph = onnxruntime.InferenceSession(renderers / "unet328" / "1" / "model.onnx")
        expected = graph.run(None, inputs)[0][0].transpose(1, 2, 0) * 255
        assert np.abs(opened(found.prediction_data) - expected).mean() < 12
        assert expected.std() > 20

        other = await ask(target, "GenerateInference", model_name=avatar.id, frame_id=FEATURES - 1)
        assert np.abs(opened(other.prediction_data) - opened(found.prediction_data)).mean() > 1
        async with websockets.connect(url) as socket:
            name = avatar.id.encode()
            await socket.send(struct.pack("<I", len(name)) + name + struct.pack("<II", 2, 0))
            answer = await socket.recv()
        size = struct.unpack_from("<I", answer, 9)[0]
        assert answer[0] == 1
        assert answer[13 : 13 + size] == found.prediction_data

        sound = [bytes(1280)] * (3 + 15)
        spoken = await ask(target, "GenerateBatchWithAudio", model_name="Sanders", frame_count=3, audio_chunks=sound)
        assert [one.success for one in spoken.responses] == [True] * 3, spoken
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, HANG_S) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_the_ports_show_avatars():
    for option in ("--lipsync-port", "--lipsync-websocket-port"):
        command = [*COMMAND, "--url", "localhost:1", option, "0"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, env=dict(os.environ))
        assert said.returncode == 1
        assert "InvalidSettings: a lip-sync port is given without --avatars" in said.stderr
