"""Text in: what is said, heard through the gateway's doors, over a real Triton with its voice."""

import base64
import io
import json
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from asking import events
from drawn import drawing, pictures, sound
from waiting import HANG_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from emotalk_client import EmoTalkClient
from emotalk_server import EmbeddedServer

pytest.importorskip("hibari", reason="the voice is not installed (extra text)")
pytestmark = pytest.mark.server

SAY, SPEECH = "/api/v1/say", "/v1/audio/speech"
TEXT = "Hello, my name is Bob. I am glad to be here."
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def speaking_server():
    with EmbeddedServer(groups=("core", "live", "speech")) as running:
        yield running


@pytest.fixture(scope="module")
def speaker(gateway_to, speaking_server):
    with gateway_to(speaking_server.grpc_url) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def whole(speaking_server):
    with EmoTalkClient(speaking_server.grpc_url) as client:
        yield client.say(TEXT)


def said(gateway, path=SAY, **fields):
    return gateway.ask("POST", path, json.dumps(fields), JSON)


def pcm(text):
    return np.frombuffer(base64.b64decode(text), "<i2")


def test_sound_and_frames_come_sentence_by_sentence(speaker, whole):
    answer = said(speaker, text=TEXT)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.body)
    sentences = [data for name, data in told if name == "sentence"]
    frames = [frame for name, data in told if name == "message" for frame in data]
    assert [sentence["text"] for sentence in sentences] == ["Hello, my name is Bob.", "I am glad to be here."]
    np.testing.assert_array_equal(np.concatenate([pcm(s["audio"]) for s in sentences]), whole.audio)
    assert [word["word"] for s in sentences for word in s["words"]] == [word.text for word in whole.words]
    assert sentences[0]["start"] == 0
    assert sentences[1]["start"] == pytest.approx(sentences[0]["end"])
    assert len(frames) == len(whole.animation)
    np.testing.assert_allclose([f["timecode"] for f in frames], whole.animation.timecodes, atol=1e-9)
    weights = np.array([f["blendshapes"] for f in frames])
    assert np.abs(weights - whole.animation.weights).max() < 0.1
    name, end = told[-1]
    assert (name, end["frames"], end["fps"]) == ("end", len(frames), 30)
    assert end["seconds"] == pytest.approx(len(whole.audio) / whole.sample_rate)
    first = [name for name, _ in told].index("message")
    assert first < max(index for index, (name, _) in enumerate(told) if name == "message")


def test_options_of_the_face_and_of_the_voice(speaker):
    plain, smiling = (events(said(speaker, text=TEXT, **more).body) for more in ({}, {"options": {"joy": 1.0}}))

    def smile(told):
        from emotalk_contract.arkit import INDEX

        rows = [f["blendshapes"][INDEX["mouthSmileLeft"]] for name, data in told if name == "message" for f in data]
        return np.mean(rows)

    assert smile(smiling) > smile(plain) + 0.1
    slow = events(said(speaker, text=TEXT, speed=0.7).body)
    assert slow[-1][1]["seconds"] > 1.2 * plain[-1][1]["seconds"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"text": ""}, "EmptyText"),
        ({"text": 7}, "EmptyText"),
        ({}, "EmptyText"),
        ({"text": "Hi.", "voice": "nobody"}, "UnknownVoice"),
        ({"text": "Hi.", "language": "tlh"}, "UnknownLanguage"),
        ({"text": "Hi.", "speed": 9}, "SpeedOutOfRange"),
        ({"text": "Hi.", "speed": "fast"}, "SpeedOutOfRange"),
        ({"text": "Hi.", "avatar": 1}, "UnknownOption"),
        ({"text": "Hi.", "options": {"joy": 2}}, "EmotionOutOfRange"),
        ({"text": "Hi.", "options": 3}, "InvalidOption"),
    ],
)
def test_what_cannot_be_said(speaker, fields, error):
    answer = said(speaker, **fields)
    assert (answer.status, answer.json["error"]) == (422, error)
    assert "accepted" in answer.json["message"]


def test_a_text_has_an_end(speaker):
    answer = said(speaker, text="x" * 5001)
    assert (answer.status, answer.json["error"]) == (413, "TextTooLong")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"7", b"\xff"])
@pytest.mark.parametrize("path", [SAY, SPEECH])
def test_what_is_no_object(speaker, path, body):
    answer = speaker.ask("POST", path, body, JSON)
    assert (answer.status, answer.json["error"]) == (400, "InvalidMessage")


def test_a_server_without_voices_says_so(gateway):
    for path, name in ((SAY, "text"), (SPEECH, "input")):
        answer = said(gateway, path, **{name: "Hello."})
        assert answer.status == 501, answer.body
        assert "--models core,live,speech" in answer.json["message"]


@pytest.mark.parametrize(
    ("kind", "read"), [("wav", "WAV"), ("flac", "FLAC"), ("mp3", "MP3"), ("opus", "OGG"), (None, "MP3")]
)
def test_openai_s_interface_gives_files(speaker, whole, kind, read):
    more = {} if kind is None else {"response_format": kind}
    answer = said(speaker, SPEECH, model="tts-1", voice="alloy", input=TEXT, **more)
    assert answer.status == 200, answer.body
    sound, rate = soundfile.read(io.BytesIO(answer.body), dtype="int16")
    assert soundfile.info(io.BytesIO(answer.body)).format == read
    assert len(sound) / rate == pytest.approx(len(whole.audio) / whole.sample_rate, abs=0.1)
    if kind in ("wav", "flac"):
        np.testing.assert_array_equal(sound, whole.audio)


def test_openai_s_samples_come_as_they_are_said(speaker, whole):
    answer = said(speaker, SPEECH, model="tts-1", voice="nova", input=TEXT, response_format="pcm")
    assert answer.headers["content-type"] == "audio/pcm"
    found = np.frombuffer(answer.body, "<i2")
    assert len(found) / 24_000 == pytest.approx(len(whole.audio) / whole.sample_rate, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"input": ""}, "EmptyText"),
        ({"input": "Hi.", "response_format": "aac"}, "InvalidOption"),
        ({"input": "Hi.", "stream_format": "sse"}, "InvalidOption"),
        ({"input": "Hi.", "voice": "nobody"}, "UnknownVoice"),
    ],
)
def test_what_openai_s_interface_refuses(speaker, fields, error):
    answer = said(speaker, SPEECH, **fields)
    assert (answer.status, answer.json["error"]) == (422, error)


# In a conversation


@contextmanager
def opened(gateway, **start):
    with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream", max_size=None) as socket:
        socket.send(json.dumps({"type": "start", "sample_rate": 16_000, **start}))
        assert json.loads(socket.recv(HANG_S))["type"] == "started"
        yield socket


def until(socket, *kinds):
    told = []
    while not told or told[-1]["type"] not in kinds:
        told.append(json.loads(socket.recv(HANG_S)))
    return told


@pytest.mark.parametrize("kind", ["text", "text_input"])
def test_a_conversation_takes_texts(speaker, whole, kind):
    with opened(speaker) as socket:
        for number in (1, 2):
            socket.send(json.dumps({"type": kind, "text": TEXT, "language": "en"}))
            told = until(socket, "end")
            sentences = [message for message in told if message["type"] == "sentence"]
            frames = [frame for message in told if message["type"] == "frames" for frame in message["frames"]]
            assert [sentence["utterance"] for sentence in sentences] == [number, number]
            np.testing.assert_array_equal(np.concatenate([pcm(s["audio"]) for s in sentences]), whole.audio)
            assert [frame["frame"] for frame in frames] == list(range(len(whole.animation)))
            assert told[-1] == {"type": "end", "utterance": number, "frames": len(frames)}


def test_speech_and_texts_take_turns(speaker, voice):
    with opened(speaker, format="float32") as socket:
        socket.send(voice[:16_000].astype("<f4").tobytes())
        socket.send(json.dumps({"type": "end", "keep": True}))
        socket.send(json.dumps({"type": "text", "text": "Yes."}))
        assert until(socket, "end")[-1] == {"type": "end", "utterance": 1, "frames": 30}
        told = until(socket, "end")
        assert told[0]["type"] == "sentence"
        assert told[-1]["utterance"] == 2


def test_a_cancel_stops_a_text_and_keeps_the_connection(speaker):
    with opened(speaker) as socket:
        socket.send(json.dumps({"type": "text", "text": " ".join([TEXT] * 40)}))
        until(socket, "frames")
        socket.send(json.dumps({"type": "cancel", "fade_s": 0.1}))
        told = until(socket, "cancelled")
        assert told[-1]["faded"] == 3
        assert told[-1]["frames"] < 30 * 60
        socket.send(json.dumps({"type": "text", "text": "Well."}))
        assert until(socket, "end")[-1]["utterance"] == 2


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"text": ""}, "EmptyText"),
        ({"text": "Hi.", "voice": "nobody"}, "UnknownVoice"),
        ({"text": "Hi.", "colour": "red"}, "UnknownOption"),
    ],
)
def test_a_wrong_text_ends_a_conversation_with_words(speaker, message, error):
    with opened(speaker) as socket:
        socket.send(json.dumps({"type": "text", **message}))
        assert until(socket, "error")[-1]["error"] == error
        with pytest.raises(ConnectionClosed):
            socket.recv(HANG_S)
        assert socket.close_code == 1008


def test_a_text_does_not_come_amid_speech(speaker, voice):
    with opened(speaker, format="float32") as socket:
        socket.send(voice[:1_600].astype("<f4").tobytes())
        socket.send(json.dumps({"type": "text", "text": "Yes."}))
        told = until(socket, "error")[-1]
        assert told["error"] == "InvalidMessage"
        assert "amid speech" in told["message"]


def test_a_text_becomes_a_video(speaker, whole, tmp_path):
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        pass
    answer = said(speaker, "/avatar/process", text=TEXT, size="64x64", format="webm")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "video/webm"
    (tmp_path / "a.webm").write_bytes(answer.body)
    assert len(pictures(tmp_path / "a.webm")) == len(whole.animation)
    start, rate, samples = sound(tmp_path / "a.webm")
    assert start + len(samples) / rate == pytest.approx(len(whole.audio) / whole.sample_rate, abs=0.05)


def test_a_text_that_takes_too_long_to_say_has_no_video(gateway_to, speaking_server):
    with gateway_to(speaking_server.grpc_url, max_video_s=1) as gateway:
        answer = said(gateway, "/avatar/process", text=TEXT)
        assert (answer.status, answer.json["error"]) == (413, "ClipTooLong")
