"""The emotion that EmoTalk hears, through the gateway's doors: over a real Triton with the small seeded network."""

import json

import pytest
from asking import STREAM, VOICE, events
from waiting import HANG_S
from websockets.sync.client import connect

from emotalk_client import EmoTalkClient

pytestmark = pytest.mark.server

NAMES = [f"emotion_{number}" for number in range(7)]


@pytest.fixture(scope="module")
def hearing(gateway_to, server):
    with gateway_to(server.grpc_url) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def whole(server):
    with EmoTalkClient(server.grpc_url) as client:
        yield client.animate(VOICE, window=4.0)


@pytest.mark.parametrize("fps", [30, 24])
def test_the_last_event_tells_the_clip_s(hearing, whole, fps):
    *blocks, (name, told) = events(hearing.post(STREAM, VOICE.read_bytes(), window=4, fps=fps).body)
    assert name == "end"
    assert told["emotions"] == pytest.approx(dict(whole.emotions), abs=1e-5)
    assert {tuple(row) for _, rows in blocks for row in rows} == {("timecode", "blendshapes")}


def test_a_caller_learns_the_names(hearing, gateway):
    assert hearing.get("/api/v1/capabilities").json["detected_emotions"] == NAMES
    assert gateway.get("/api/v1/capabilities").json["detected_emotions"] == []


def test_a_model_that_hears_none_says_none(gateway):
    name, told = events(gateway.post(STREAM, VOICE.read_bytes()).body)[-1]
    assert name == "end"
    assert set(told) == {"frames", "fps"}, json.dumps(told)


@pytest.mark.parametrize(("asked", "detects"), [(True, True), (True, False), (False, True)])
def test_a_live_stream_is_told_what_is_heard(hearing, gateway, voice, asked, detects):
    door = hearing if detects else gateway
    told = []
    with connect(f"ws://127.0.0.1:{door.port}/ws/stream") as socket:
        socket.send(json.dumps({"type": "start", "sample_rate": 16_000, "format": "float32", "emotions": asked}))
        socket.send(voice[:48_000].astype("<f4").tobytes())
        socket.send(json.dumps({"type": "end"}))
        while not told or told[-1]["type"] != "end":
            told.append(json.loads(socket.recv(HANG_S)))
    heard = [message for message in told if message["type"] == "emotions"]
    assert bool(heard) == (asked and detects)
    for message in heard:
        assert list(message["emotions"]) == NAMES
        assert sum(message["emotions"].values()) == pytest.approx(1, abs=1e-4)
    assert not heard or heard[-1]["frame"] == 89
