"""`emotalk live` as a person runs it."""

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emotalk_client import EmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_contract.arkit import APPLE_ORDER, BLENDSHAPES

pytestmark = pytest.mark.server

VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"


def command(url, *options, **how):
    environment = {**os.environ, "EMOTALK_URL": url}
    base = [sys.executable, "-m", "emotalk_cli", "live"]
    return subprocess.run([*base, *options], env=environment, capture_output=True, timeout=120, **how)


def weights(lines):
    return np.array([json.loads(line)["blendshapes"] for line in lines.splitlines()])


@pytest.fixture(scope="module")
def whole(bundled_server):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        return client.animate(VOICE).weights


def test_a_file_becomes_the_lines_of_its_face(bundled_server, whole, tmp_path):
    said = command(bundled_server.grpc_url, str(VOICE), "-o", str(tmp_path / "face.jsonl"))
    assert said.returncode == 0, said.stderr
    face = weights((tmp_path / "face.jsonl").read_text())
    assert face.shape == whole.shape
    assert (np.abs(face - whole) > 0.02).mean() <= 0.001


def test_raw_samples_on_standard_input_become_lines_on_standard_output(bundled_server, whole):
    pcm = (load(VOICE)[: 2 * 16_000] * 32767).astype("<i2").tobytes()
    said = command(bundled_server.grpc_url, "-", "--rate", "16000", "--pace", input=pcm)
    assert said.returncode == 0, said.stderr
    face = weights(said.stdout.decode())
    assert face.shape == (60, 52)
    assert (np.abs(face[:54] - whole[:54]) > 0.02).mean() <= 0.001  # after that, whole hears what comes next


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "one of them"),
        (["x.wav", "--microphone"], "one of them"),
        (["-", "--format", "mp3"], "none of s16le"),
        (["missing.wav"], "UnreadableAudio"),
        (["-", "--hop", "7"], "hop is 7.0"),
        (["-", "--rate", "0"], "sample_rate is 0"),
        (["-", "--level", "2"], "LevelOutOfRange"),
    ],
)
def test_a_mistake_is_one_clear_error(bundled_server, options, words):
    said = command(bundled_server.grpc_url, *options, input=b"")
    assert said.returncode != 0
    text = " ".join(said.stderr.decode().replace("│", " ").split())
    assert words in text
    assert "Traceback" not in text


def test_a_server_that_is_not_there_is_a_typed_error_and_no_hang(tmp_path):
    said = command("127.0.0.1:1", str(VOICE), "--timeout", "1")
    assert said.returncode == 1
    assert b"ServerUnavailable" in said.stderr or b"DeadlineExceeded" in said.stderr


def test_a_reader_that_has_enough_is_no_error(bundled_server):
    pipe = f"{sys.executable} -m emotalk_cli live {VOICE} | head -n 3"
    environment = {**os.environ, "EMOTALK_URL": bundled_server.grpc_url}
    said = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", pipe], env=environment, capture_output=True, timeout=120
    )
    assert len(said.stdout.splitlines()) == 3
    assert b"Traceback" not in said.stderr


def test_frames_also_go_out_as_live_link_packets(bundled_server, whole, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unreal:
        unreal.bind(("127.0.0.1", 0))
        unreal.settimeout(5)
        soundfile.write(tmp_path / "second.wav", load(VOICE)[:16_000], 16_000)
        address = f"127.0.0.1:{unreal.getsockname()[1]}"
        said = command(
            bundled_server.grpc_url, str(tmp_path / "second.wav"), "--livelink", address, "--emotion", "joy=1"
        )
        assert said.returncode == 0, said.stderr
        packets = [unreal.recv(2048) for _ in range(30)]
    face = weights(said.stdout.decode())
    assert face.shape == (30, 52)
    assert (
        face[:, BLENDSHAPES.index("mouthSmileLeft")].mean()
        > whole[:30, BLENDSHAPES.index("mouthSmileLeft")].mean() + 0.1
    )
    jaws = [struct.unpack(">61f", packet[-61 * 4 :])[APPLE_ORDER.index("jawOpen")] for packet in packets]
    np.testing.assert_allclose(jaws, face[:, BLENDSHAPES.index("jawOpen")], atol=1e-6)


def test_an_address_that_is_none_is_one_clear_error(bundled_server):
    said = command(bundled_server.grpc_url, str(VOICE), "--vmc", "host:port:x")
    assert said.returncode == 1
    assert b"InvalidAddress" in said.stderr
