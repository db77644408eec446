"""The other doors of a real gateway, while the face server stands still and while a crowd asks."""

import http.client
import io
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
import soundfile
from asking import RATE
from waiting import HANG_S

from emotalk_gateway.grpc.emotalk.door import emotalk_door
from emotalk_gateway.grpc.emotalk.service import NAME
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.omniverse.door import OmniverseDoor
from emotalk_gateway.omniverse.player import PLAYER, SOLVER
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

REQUEST, RESPONSE = message("emotalk.AudioRequest"), message("emotalk.BlendshapeResponse")
CROWD, AT_ONCE = 1000, 64


@pytest.fixture(scope="module")
def own_server():
    """One that these tests stop."""
    with EmbeddedServer(supervised=False) as running:
        yield running


class Doors:
    """Both, of one gateway."""

    def __init__(self, gateway, folder):
        self.gateway, self.folder = gateway, folder
        self.omniverse, self.emotalk = (door.port for door in gateway.doors)

    def post(self, path, **body):
        connection = http.client.HTTPConnection("127.0.0.1", self.omniverse, timeout=HANG_S)
        try:
            connection.request("POST", f"/A2F/{path}", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def track(self, name):
        self.post("Player/SetRootPath", a2f_player=PLAYER, dir_path=str(self.folder))
        return self.post("Player/SetTrack", a2f_player=PLAYER, file_name=name)

    def export(self, name="face"):
        asked = {"solver_node": SOLVER, "export_directory": str(self.folder), "file_name": name}
        return self.post("Exporter/ExportBlendshapes", **asked)

    def ask(self, sound):
        with grpc.insecure_channel(f"127.0.0.1:{self.emotalk}") as channel:
            method = channel.unary_stream(f"/{NAME}/ProcessAudio", REQUEST.SerializeToString, RESPONSE.FromString)
            return list(method(REQUEST(audio_data=sound, post_processing=True), timeout=HANG_S))


@contextmanager
def opened(gateway_to, folder, **more):
    def doors(service):
        return [OmniverseDoor(service, 0, folder), emotalk_door(service, "127.0.0.1", 0)]

    with gateway_to(doors=doors, **more) as gateway:
        yield Doors(gateway, folder)


def sound(samples):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV")
    return file.getvalue()


def test_a_face_server_that_stands_still_is_told_of_and_found_again(gateway_to, own_server, voice, tmp_path):
    clip = sound(voice[:RATE])
    (tmp_path / "a.wav").write_bytes(clip)
    with opened(gateway_to, tmp_path, url=own_server.grpc_url, request_timeout_s=2.0) as doors:
        assert doors.track("a.wav")[0] == 200
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(2) as threads:
                export, call = threads.submit(doors.export), threads.submit(doors.ask, clip)
                status, said = export.result()
                assert status in (408, 504), said
                (answer,) = call.result()
                assert answer.error_message.split(":")[0] in ("RequestTooSlow", "DeadlineExceeded")
            assert doors.track("a.wav")[0] == 200, "what needs no face is answered"
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)
        status, said = doors.export()
        assert status == 200, said
        assert len(doors.ask(clip)[0].frames) == 30


def test_a_crowd_is_served_or_told_and_nothing_stays(gateway_to, voice, tmp_path):
    """Each caller sets a track of its own and exports it: whichever was set last, none fails but by being refused."""
    for number in range(8):
        (tmp_path / f"{number}.wav").write_bytes(sound(voice[: RATE * (number + 1) // 4]))
    with opened(gateway_to, tmp_path, max_requests=8) as doors:
        doors.track("0.wav")

        def one(number):
            found = doors.post("Player/SetTrack", a2f_player=PLAYER, file_name=f"{number % 8}.wav")[0]
            return found, doors.export(f"f{number}")[0]

        with ThreadPoolExecutor(AT_ONCE) as threads:
            told = list(threads.map(one, range(CROWD)))
        assert {status for status, _ in told} == {200}
        assert {status for _, status in told} <= {200, 503}
        written = list(tmp_path.glob("f*_bsweight.json"))
        assert len(written) == sum(status == 200 for _, status in told) > 0
        for path in written[:20]:
            assert np.isfinite(np.array(json.loads(path.read_text())["weightMat"])).all()
        assert not list(tmp_path.glob(".*.part"))
        doors.gateway.settle()
        assert not doors.gateway.service.uploads.admitted
        assert doors.export()[0] == 200
