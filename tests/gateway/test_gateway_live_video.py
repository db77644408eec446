"""Pictures over a WebSocket: decoded by FFmpeg, in step with what was said."""

import json
import os
import signal
import struct
import time
from contextlib import contextmanager

import av
import numpy as np
import pytest
from drawn import drawing, processes
from waiting import HANG_S, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.server

RATE = 16_000
KEY, IDLE = 1, 2
SIZE = "64x64"
STILL = {"head": 0, "gaze": 0, "idle": 0}


@pytest.fixture(autouse=True, scope="module")
def drawable():
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        pass


@contextmanager
def opened(gateway, **start):
    most = gateway.service.settings.max_video_streams
    if not start.pop("crowded", False):
        until(lambda: gateway.service.videos.streams.admitted < most)  # those of before are let go of
    with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream", max_size=None) as socket:
        start = {"frames": "video", "size": SIZE, **STILL, **start}
        socket.send(json.dumps({"type": "start", "sample_rate": RATE, **start}))
        yield socket


def told(socket, *kinds):
    """Pictures (flags, seconds, bytes) up to a message of one of ``kinds``, and that message."""
    found = []
    while True:
        message = socket.recv(HANG_S)
        if isinstance(message, bytes):
            flags, at = struct.unpack_from("<BQ", message)
            found.append((flags, at / 1e6, message[9:]))
        else:
            said = json.loads(message)
            if said["type"] in kinds:
                return found, said
            assert said["type"] != "error", said


def refused(socket):
    with pytest.raises(ConnectionClosed):  # noqa: PT012  # what comes before does not matter
        while True:
            message = socket.recv(HANG_S)
            if isinstance(message, str) and json.loads(message)["type"] == "error":
                error = json.loads(message)
    return error


def say(socket, samples):
    socket.send((samples * 32767).astype("<i2").tobytes())


def decoded(found):
    decoder = av.CodecContext.create("vp9", "r")
    return [frame.to_ndarray(format="rgb24") for _, _, data in found for frame in decoder.decode(av.Packet(data))]


def test_speech_comes_back_as_pictures(gateway, voice):
    with opened(gateway) as socket:
        _, started = told(socket, "started")
        assert started["video"] == {"codec": "vp09.00.20.08", "width": 64, "height": 64}
        say(socket, voice[: 2 * RATE])
        socket.send(json.dumps({"type": "end"}))
        found, end = told(socket, "end")
    assert end["frames"] == 60
    flags = np.array([flag for flag, _, _ in found])
    spoken = [one for one in found if not one[0] & IDLE]
    assert flags[0] == KEY | IDLE  # the face at rest, before anything is said
    assert len(spoken) >= 20  # at least a third, however slow this machine is
    seconds = np.array([at for _, at, _ in spoken])
    assert (np.diff(seconds) > 0).all()
    assert np.allclose(seconds * 30, np.rint(seconds * 30), atol=1e-4)
    pictures = decoded(found)
    assert len(pictures) == len(found)
    assert np.ptp([picture[40:52, 25:40].mean() for picture in pictures]) > 5  # the mouth moves
    until(lambda: not processes() and not gateway.service.videos.streams.admitted)


def test_pictures_keep_up_with_speech(gateway, voice):
    with opened(gateway) as socket:
        told(socket, "started")
        began = time.monotonic()
        for block in np.array_split(voice[: 3 * RATE], 30):
            say(socket, block)
            time.sleep(0.1)
        socket.send(json.dumps({"type": "end"}))
        first = None
        while True:
            message = socket.recv(HANG_S)
            if isinstance(message, bytes) and not message[0] & IDLE:
                at = struct.unpack_from("<BQ", message)[1] / 1e6
                first = at if first is None else first
            elif isinstance(message, str) and json.loads(message)["type"] == "end":
                break
        assert first == 0
        assert time.monotonic() - began < HANG_S


def test_a_keyframe_comes_where_it_is_asked_for(gateway, voice):
    with opened(gateway) as socket:
        told(socket, "started")
        say(socket, voice[:RATE])
        socket.send(json.dumps({"type": "end", "keep": True}))
        told(socket, "end")
        socket.send(json.dumps({"type": "keyframe"}))
        say(socket, voice[:RATE])
        socket.send(json.dumps({"type": "end"}))
        found, _ = told(socket, "end")
    assert next(flags for flags, _, _ in found if not flags & IDLE) & KEY


def test_one_that_is_interrupted_goes_on(gateway, voice):
    with opened(gateway) as socket:
        told(socket, "started")
        say(socket, voice)
        socket.send(json.dumps({"type": "cancel", "fade_s": 0.2}))
        _, cancelled = told(socket, "cancelled")
        assert cancelled["faded"] in (0, 6)
        say(socket, voice[:RATE])
        socket.send(json.dumps({"type": "end"}))
        found, end = told(socket, "end")
        assert end["frames"] == 30
        assert found


def test_a_face_that_rests_lives(gateway):
    with opened(gateway, frames="mjpeg", idle=1, gaze=1) as socket:
        told(socket, "started")
        found = [socket.recv(HANG_S) for _ in range(10)]
    assert all(message[0] == KEY | IDLE for message in found)
    assert len({message[9:] for message in found}) > 3
    assert all(message[9:11] == b"\xff\xd8" for message in found)  # JPEG


@pytest.mark.parametrize(
    ("start", "error"),
    [
        ({"size": "9x9"}, "InvalidVideo"),
        ({"background": "red"}, "InvalidVideo"),
        ({"idle": 3}, "InvalidOption"),
        ({"audio": True}, "InvalidMessage"),
        ({"frames": "json"}, "InvalidMessage"),  # what is drawn is named, and nothing is
        ({"frames": "av1"}, "InvalidMessage"),
        ({"avatar_id": "x"}, "AvatarsOff"),
        ({"avatar_id": 7}, "InvalidOption"),
    ],
)
def test_what_cannot_be_is_refused_in_words(gateway, start, error):
    with opened(gateway, **start) as socket:
        assert refused(socket)["error"] == error


def test_a_keyframe_of_weights_is_refused(gateway):
    with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream") as socket:
        socket.send(json.dumps({"type": "start", "sample_rate": RATE}))
        socket.send(json.dumps({"type": "keyframe"}))
        assert refused(socket)["error"] == "InvalidMessage"


def test_too_many_at_once_are_told_so(gateway_to):
    with gateway_to(max_video_streams=1) as gateway, opened(gateway) as first:
        told(first, "started")
        with opened(gateway, crowded=True) as second:
            assert refused(second)["error"] == "GatewayFull"
        with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream") as weights:
            weights.send(json.dumps({"type": "start", "sample_rate": RATE}))
            told(weights, "started")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_one_that_draws_and_dies_ends_its_connection_alone(gateway, voice, how):
    with opened(gateway) as socket, opened(gateway) as other:
        told(socket, "started")
        told(other, "started")
        os.kill(processes()[0], how)
        errors = []
        for each in (socket, other):
            say(each, voice[:RATE])
            each.send(json.dumps({"type": "end"}))
            try:
                while True:
                    message = each.recv(HANG_S)
                    if isinstance(message, str):
                        errors.append(json.loads(message)["type"])
                        break
            except ConnectionClosed:
                errors.append("closed")
    assert sorted(errors) == ["end", "error"]
    until(lambda: not processes() and not gateway.service.videos.streams.admitted)


def test_who_leaves_takes_its_process_along(gateway, voice):
    with opened(gateway) as socket:
        told(socket, "started")
        say(socket, voice)
        assert len(processes()) == 1
    until(lambda: not processes())
    until(lambda: not gateway.service.videos.streams.admitted)
