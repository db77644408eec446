"""Speech over a WebSocket as it is spoken, by a client that is not ours, through a real gateway and Triton."""

import json
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from waiting import HANG_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from emotalk_contract.arkit import BLENDSHAPES

pytestmark = pytest.mark.server

RATE = 16_000
TOKEN = "open sesame"
BLOCK = 1600


@contextmanager
def opened(gateway, start=None, **how):
    with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream", **how) as socket:
        if start is not None:
            socket.send(json.dumps({"type": "start", "sample_rate": RATE, **start}))
            assert json.loads(socket.recv(HANG_S)) == {"type": "started", "names": list(BLENDSHAPES), "fps": 30}
        yield socket


def read(message):
    """The frames of a message in JSON."""
    frames = json.loads(message)["frames"]
    return [(f["frame"], f["timecode"], np.array(f["blendshapes"], np.float32)) for f in frames]


def heard(socket, *last):
    """Frames up to a message whose type is in ``last``, and that message."""
    frames = []
    while True:
        message = socket.recv(HANG_S)
        if isinstance(message, bytes):
            frames += [(int(r[0]), float(r[1]), r[2:]) for r in np.frombuffer(message, "<f4").reshape(-1, 54)]
            continue
        said = json.loads(message)
        if said["type"] in last:
            return frames, said
        assert said["type"] == "frames", said
        frames += read(message)


def closed(socket):
    """The code with which the gateway closes."""
    try:
        while True:
            socket.recv(HANG_S)
    except ConnectionClosed:
        return socket.close_code


def refused(socket, error, *words):
    _, message = heard(socket, "error")
    assert message["error"] == error, message
    for word in words:
        assert str(word) in message["message"]
    return closed(socket)


@pytest.fixture(scope="module")
def speech(voice):
    return voice[: 4 * RATE]


def say(socket, samples, block=BLOCK):
    for start in range(0, len(samples), block):
        socket.send(samples[start : start + block].tobytes())


@pytest.mark.parametrize(("pcm", "frames"), [("float32", "json"), ("float32", "float32"), ("int16", "json")])
def test_speech_in_frames_out(gateway, speech, thin, pcm, frames):
    expected = thin.animate(speech, sample_rate=RATE).weights
    samples = speech.astype("<f4") if pcm == "float32" else (speech * 32767).round().astype("<i2")
    with opened(gateway, {"format": pcm, "frames": frames}) as socket:
        say(socket, samples)
        socket.send('{"type": "end"}')
        got, last = heard(socket, "end")
        assert last == {"type": "end", "frames": 120}
        assert closed(socket) == 1000
    assert [index for index, *_ in got] == list(range(120))
    np.testing.assert_allclose([seconds for _, seconds, _ in got], np.arange(120) / 30, atol=1e-6)
    weights = np.array([w for *_, w in got])
    assert (np.abs(weights - expected) > 0.02).mean() < 0.001


def test_frames_come_while_speech_goes_on(gateway, speech):
    with opened(gateway, {"format": "float32"}) as socket:
        say(socket, speech[: 2 * RATE].astype("<f4"))
        first = json.loads(socket.recv(HANG_S))
        assert first["type"] == "frames"
        socket.send('{"type": "end"}')
        heard(socket, "end")


def test_emotions_change_while_the_caller_speaks_and_stay_for_the_next_utterance(gateway, speech, thin):
    joy = {"joy": 1.0}
    calm = thin.animate(speech, sample_rate=RATE).weights
    changed = thin.animate(speech, sample_rate=RATE, emotion_keys=[{"time": 2.0, "emotions": joy}]).weights
    later = thin.animate(speech, sample_rate=RATE, emotions=joy).weights
    samples = speech.astype("<f4")
    with opened(gateway, {"format": "float32", "options": {"prompt": False}}) as socket:
        say(socket, samples[: 2 * RATE])
        socket.send(json.dumps({"type": "emotions", "emotions": joy}))
        say(socket, samples[2 * RATE :])
        socket.send('{"type": "end", "keep": true}')
        first, _ = heard(socket, "end")
        say(socket, samples)
        socket.send('{"type": "end"}')
        second, _ = heard(socket, "end")
    first, second = (np.array([w for *_, w in frames]) for frames in (first, second))
    assert np.abs(changed - calm).max() > 0.3
    np.testing.assert_allclose(first, changed, rtol=0, atol=0.02)
    np.testing.assert_allclose(first[:61], calm[:61], rtol=0, atol=0.02)
    np.testing.assert_allclose(second, later, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        ({"emotions": {"glee": 1}}, "UnknownEmotion", "accepted: amazement"),
        ({"emotions": {"joy": 2}}, "EmotionOutOfRange", "accepted: 0..1"),
        ({"emotions": {"joy": 1}, "time": -1}, "InvalidEmotionKey", "has the time -1"),
        ({"emotions": {"joy": 1}, "time": "now"}, "InvalidEmotionKey", "has the time 'now'"),
        ({"emotions": [1]}, "InvalidMessage", "accepted: an object"),
        ({}, "InvalidMessage", "accepted: an object"),
        ({"emotions": {}, "at": 1}, "InvalidMessage", "emotions has 'at'"),
    ],
)
def test_emotions_that_cannot_be_are_refused_by_name(gateway, speech, message, error, words):
    with opened(gateway, {"format": "float32"}) as socket:
        say(socket, speech[:1600].astype("<f4"))
        socket.send(json.dumps({"type": "emotions", **message}))
        assert refused(socket, error, words) == 1008


def test_options_change_the_face(gateway, speech):
    smile = []
    for options in ({}, {"joy": 1.0}):
        with opened(gateway, {"format": "float32", "options": options}) as socket:
            say(socket, speech[:RATE].astype("<f4"))
            socket.send('{"type": "end"}')
            frames, _ = heard(socket, "end")
            smile.append(np.mean([w[BLENDSHAPES.index("mouthSmileLeft")] for *_, w in frames]))
    assert smile[1] > smile[0] + 0.1


def test_cancelling_fades_to_rest(gateway, speech):
    with opened(gateway, {"format": "float32"}) as socket:
        say(socket, speech[: 2 * RATE].astype("<f4"))
        frames = []
        while len(frames) < 20:
            frames += read(socket.recv(HANG_S))
        socket.send('{"type": "cancel", "fade_s": 0.5}')
        more, last = heard(socket, "cancelled")
        frames += more
        socket.send('{"type": "end"}')
        assert json.loads(socket.recv(HANG_S)) == {"type": "end", "frames": 0}
        assert closed(socket) == 1000
    kept = len(frames) - 15
    counts = {"frames": len(frames), "kept": kept, "faded": 15, "position_s": kept / 30}
    assert last == {"type": "cancelled", "utterance": 1, **counts}
    assert [index for index, *_ in frames] == list(range(len(frames)))
    assert 15 < len(frames) <= 75
    np.testing.assert_allclose(frames[-1][2], 0, atol=1e-6)
    assert np.abs(frames[-15][2]).max() > 0.05


@pytest.mark.parametrize(
    ("first", "error", "words"),
    [
        ("hello", "InvalidMessage", "JSON"),
        ("[1]", "InvalidMessage", "list"),
        (b"\x00\x00", "InvalidMessage", "start"),
        ('{"type": "end"}', "InvalidMessage", "start"),
        ('{"type": "start", "sample_rate": 0}', "InvalidAudio", "0"),
        ('{"type": "start"}', "InvalidAudio", "None"),
        ('{"type": "start", "sample_rate": 16000, "format": "mp3"}', "InvalidMessage", "'mp3'"),
        ('{"type": "start", "sample_rate": 16000, "format": {}}', "InvalidMessage", "int16"),
        ('{"type": "start", "sample_rate": 16000, "frames": "xml"}', "InvalidMessage", "'xml'"),
        ('{"type": "start", "sample_rate": 16000, "rate": 1}', "InvalidMessage", "rate"),
        ('{"type": "start", "sample_rate": 16000, "options": [1]}', "InvalidMessage", "[1]"),
        ('{"type": "start", "sample_rate": 16000, "options": {"level": 3}}', "LevelOutOfRange", "3"),
        ('{"type": "start", "sample_rate": 16000, "options": {"hop": 99}}', "InvalidWindow", "99"),
        ('{"type": "start", "sample_rate": 16000, "options": {"window": 2}}', "UnknownOption", "window"),
        (
            '{"type": "start", "sample_rate": 16000, "options": {"emotion_audio": "/x"}}',
            "UnknownOption",
            "emotion_audio",
        ),
    ],
)
def test_a_start_that_cannot_be(gateway, first, error, words):
    with opened(gateway) as socket:
        socket.send(first)
        assert refused(socket, error, words) == 1008


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        (b"\x00", "InvalidMessage", "1 bytes"),
        ('{"type": "start"}', "InvalidMessage", "'start'"),
        ("{", "InvalidMessage", "JSON"),
        ('{"type": "cancel", "fade_s": "slowly"}', "InvalidOption", "'slowly'"),
        (np.array([np.nan], "<f4").tobytes(), "AudioNotFinite", "nan"),
        (np.array([1e4], "<f4").tobytes(), "AudioOutOfRange", "10000"),
    ],
)
def test_a_message_that_cannot_be(gateway, message, error, words):
    with opened(gateway, {"format": "float32"}) as socket:
        socket.send(message)
        assert refused(socket, error, words) == 1008
    gateway.settle()


def test_limits_of_a_session(gateway_to, speech):
    with gateway_to(max_streams=1, max_stream_s=1.0, max_message_bytes=20_000) as gateway:
        with opened(gateway, {"format": "float32"}) as socket, opened(gateway) as second:
            second.send(json.dumps({"type": "start", "sample_rate": RATE}))
            assert refused(second, "GatewayFull", "1 streams") == 1013
            say(socket, speech[: RATE + BLOCK].astype("<f4"))  # its last block is too much
            assert refused(socket, "StreamTooLong", "1 s") == 1008
        with opened(gateway, {}) as loud:
            loud.send(bytes(20_001))
            assert closed(loud) == 1009
        gateway.settle()
        with opened(gateway, {}) as again:
            again.send('{"type": "end"}')
            assert heard(again, "end")[1]["frames"] == 0


def test_after_a_cancel_the_connection_goes_on(gateway, speech, thin):
    """The next utterance has a face of its own, as if nothing had been said before it."""
    expected = thin.animate(speech, sample_rate=RATE).weights
    with opened(gateway, {"format": "float32", "frames": "float32"}) as socket:
        say(socket, np.roll(speech, RATE).astype("<f4"))
        assert isinstance(socket.recv(HANG_S), bytes)
        socket.send('{"type": "cancel", "fade_s": 0.1, "played_frame": 0}')
        frames, last = heard(socket, "cancelled")
        assert [index for index, *_ in frames[-3:]] == [1, 2, 3]
        assert (last["kept"], last["faded"]) == (1, 3)
        for number in (2, 3):
            say(socket, speech.astype("<f4"))
            socket.send('{"type": "end", "keep": true}')
            frames, last = heard(socket, "end")
            assert last == {"type": "end", "utterance": number, "frames": 120}
            assert [index for index, *_ in frames] == list(range(120))
            weights = np.array([w for *_, w in frames])
            assert (np.abs(weights - expected) > 0.02).mean() < 0.001
        socket.send('{"type": "end"}')
        assert heard(socket, "end")[1] == {"type": "end", "frames": 0}
        assert closed(socket) == 1000


def test_a_session_that_says_nothing_ends(gateway_to):
    with gateway_to(stream_idle_s=0.5) as gateway, opened(gateway, {}) as idle:
        assert refused(idle, "StreamIdle", "0.5 s") == 1008
        gateway.settle()


def test_a_token_goes_with_the_start(gateway_to):
    with gateway_to(token=TOKEN) as gateway:
        for token in (None, "x", 7, "é"):
            with opened(gateway) as socket:
                socket.send(json.dumps({"type": "start", "sample_rate": RATE, "token": token}))
                assert refused(socket, "NotAuthorised") == 1008
        with opened(gateway, {"token": "open sesame"}):
            pass


def test_pages_of_other_origins_are_refused(gateway, gateway_to):
    for origin in ("https://example.org", "http://[::1", "null"):
        with opened(gateway, origin=origin) as socket:
            assert refused(socket, "OriginNotAllowed", origin) == 1008
    with opened(gateway, {}, origin=gateway.url):
        pass
    secure = gateway.url.replace("http", "https")
    with opened(gateway, origin=secure) as socket:
        assert refused(socket, "OriginNotAllowed", secure) == 1008
    with opened(gateway, {}, origin=secure, additional_headers={"X-Forwarded-Proto": "https"}):
        pass  # a proxy of this machine that speaks TLS
    named = gateway_to(cors_origins=["https://example.org"])
    with named as other, opened(other, {}, origin="https://example.org"):
        pass


def test_a_caller_that_leaves_stops_the_work(gateway, speech):
    with opened(gateway, {"format": "float32"}) as socket:
        say(socket, speech.astype("<f4"))
    gateway.settle()
    sent = len(gateway.wire.began)
    with opened(gateway, {"format": "float32"}) as other:  # which goes through whatever else there is to do
        other.send('{"type": "end"}')
        assert heard(other, "end")[1]["frames"] == 0
    assert len(gateway.wire.began) == sent


def test_a_server_that_is_away_is_said(gateway_to, speech):
    away = gateway_to("127.0.0.1:1", retries=0)  # with retries a session waits half a minute for the server
    with away as gateway, opened(gateway, {"format": "float32"}) as socket:
        say(socket, speech[:BLOCK].astype("<f4"))
        assert refused(socket, "ServerUnavailable", "try again") == 1013


def test_sessions_at_once_do_not_mix(gateway, thin, voice):
    parts = [voice[n * RATE : (n + 2) * RATE] for n in range(6)]
    found = []
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(gateway, {"format": "float32"})) for _ in parts]
        for start in range(0, 2 * RATE, BLOCK):
            for socket, part in zip(sockets, parts, strict=True):
                socket.send(part[start : start + BLOCK].astype("<f4").tobytes())
        for socket in sockets:
            socket.send('{"type": "end"}')
            found.append(heard(socket, "end")[0])
    for frames, part in zip(found, parts, strict=True):
        expected = thin.animate(part, sample_rate=RATE).weights
        weights = np.array([w for *_, w in frames])
        assert weights.shape == expected.shape
        assert (np.abs(weights - expected) > 0.02).mean() < 0.001
