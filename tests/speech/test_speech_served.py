"""Text in against a real Triton: sound, faces, times, refusals, and what goes on beside them."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from itertools import pairwise

import numpy as np
import pytest

from emotalk_client import Animation, AsyncEmoTalkClient, EmoTalkClient
from emotalk_client.errors import ModelMissing
from emotalk_client.faces.closures import contacts
from emotalk_contract import errors, speech
from emotalk_contract.arkit import INDEX
from emotalk_contract.timing import frame_count
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

pytest.importorskip("hibari", reason="the voice is not installed: pip install '.[text]'")
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")

TEXT = "Hello, my name is Bob. Nice to meet you! What a lovely morning."


def test_a_text_becomes_sound_and_a_face(client):
    said = client.say(TEXT)
    assert [sentence.text for sentence in said.sentences] == TEXT.replace(". ", ".|").replace("! ", "!|").split("|")
    assert said.sample_rate == 24_000
    seconds = len(said.audio) / said.sample_rate
    assert len(said.animation) == pytest.approx(30 * seconds, abs=1)
    assert " ".join(word.text for word in said.words) == re.sub(r"[,.!]", "", TEXT)
    ends = [0.0, *(edge for word in said.words for edge in (word.start, word.end))]
    assert all(a <= b + 1e-6 for a, b in pairwise(ends))
    assert ends[-1] <= seconds
    assert said.animation.channel("jawOpen").max() > 0.2


def test_the_same_text_and_seed_give_the_same_bytes(client):
    first, second, other = client.say(TEXT), client.say(TEXT), client.say(TEXT, voice_seed=1)
    np.testing.assert_array_equal(first.audio, second.audio)
    np.testing.assert_array_equal(first.animation.weights, second.animation.weights)
    assert not np.array_equal(first.audio, other.audio)


def test_a_stream_has_the_same_sound_and_every_frame_once(client):
    parts = list(client.say_stream(TEXT))
    sentences = [part.sentence for part in parts if part.sentence is not None]
    whole = client.say(TEXT)
    np.testing.assert_array_equal(np.concatenate([s.audio for s in sentences]), whole.audio)
    assert [word for s in sentences for word in s.words] == list(whole.words)
    frames = [frame.index for part in parts for frame in part.frames]
    assert frames == list(range(frame_count(len(whole.audio) * 16_000 // 24_000)))
    assert parts[0].sentence is not None, "sound comes first"


def test_texts_that_come_one_by_one_are_one_speech(client):
    parts = list(client.say_stream(iter(TEXT.replace("! ", "!|").split("|"))))
    sentences = [part.sentence for part in parts if part.sentence is not None]
    assert len(sentences) == 3
    assert sentences[2].start_s == pytest.approx(sentences[0].duration_s + sentences[1].duration_s)
    assert sentences[2].words[0].start >= sentences[2].start_s


def test_speed_is_heard(client):
    slow, fast = client.say(TEXT, speed=0.8), client.say(TEXT, speed=1.5)
    assert len(slow.audio) > 1.3 * len(fast.audio)


def peaks(frames):
    from emotalk_perf.saying import closing

    return closing(np.array(frames))


def test_lips_that_follow_the_phones_close_at_each(client):
    said = client.say("Bob put my map upon the top.", lips="phones")
    plain = client.say("Bob put my map upon the top.", lips="network")
    press = said.animation.channel("mouthPressLeft")
    found = peaks(press)
    for start, end in contacts(said.phones):
        assert any(start * 30 - 2 <= peak <= end * 30 + 2 for peak in found), (start, end)
    assert not np.array_equal(said.animation.weights, plain.animation.weights)
    np.testing.assert_array_equal(said.audio, plain.audio)
    np.testing.assert_array_equal(said.animation.weights, client.say("Bob put my map upon the top.").animation.weights)
    np.testing.assert_array_equal(said.animation.channel("browInnerUp"), plain.animation.channel("browInnerUp"))


def test_a_streams_lips_are_the_whole_texts(client):
    frames = [frame for part in client.say_stream(TEXT, lips="phones") for frame in part.frames]
    whole = client.say(TEXT, lips="phones").animation.weights
    rows = np.array([frame.weights for frame in frames])
    assert np.abs(rows - whole[: len(rows)]).max() <= 0.05  # as live is to files, whoever the lips follow


@needs_espeak
def test_lips_cannot_follow_a_voice_that_tells_no_phones(client):
    for say in (client.say, lambda *a, **k: list(client.say_stream(*a, **k))):
        with pytest.raises(errors.InvalidOption, match="this voice tells no phones"):
            say("Hello.", voice="espeak", lips="phones")


def test_a_live_session_says_a_text_between_what_is_pushed(client):
    silence = np.zeros(48_000, np.int16)
    with client.live(sample_rate=48_000, audio=True) as session:
        session.feed(silence)
        said = list(session.say(TEXT))
        session.feed(silence)
        frames = session.flush()
    assert said[0].start_s == pytest.approx(1.0, abs=0.001)
    assert said[1].start_s == pytest.approx(1.0 + said[0].duration_s, abs=0.001)
    spoken = sum(sentence.duration_s for sentence in said)
    assert len(frames) == pytest.approx((spoken + 2) * 30, abs=1)
    jaw = np.array([frame.weights[24] for frame in frames])
    assert jaw[:25].max() < 0.05 < 0.2 < jaw[30:-30].max()
    sound = np.frombuffer(b"".join(frame.audio for frame in frames), np.int16)
    assert np.abs(sound[:47_000]).max() == 0
    assert np.abs(sound[48_000 : 48_000 + round(48_000 * spoken)]).max() > 3000


def test_lips_in_a_session_close_where_the_phones_say(client):
    with client.live(sample_rate=24_000) as session:
        session.feed(np.zeros(12_000, np.int16))
        said = list(session.say("Bob put my map upon the top."))
        session.feed(np.zeros(12_000, np.int16))
        press = np.array([frame.weights[INDEX["mouthPressLeft"]] for frame in session.flush()])
    found = peaks(press)
    for start, end in contacts(said[0].phones):
        assert any(start * 30 - 2 <= peak <= end * 30 + 2 for peak in found), (start, end)
        assert press[round((start + end) / 2 * 30)] >= 0.55


def test_a_session_that_says_something_is_interrupted(client):
    with client.live(sample_rate=24_000) as session:
        for number, _ in enumerate(session.say(" ".join([TEXT] * 5))):
            if number == 1:
                break
        session.cancel()
        assert [sentence.text for sentence in session.say("And on it goes.")] == ["And on it goes."]
        assert len(session.flush())


@needs_espeak
def test_persian(client):
    said = client.say("سلام، من بابک هستم. ساعت ۱۰:۳۰ است.", language="fa")
    assert [word.text for word in said.sentences[0].words] == ["سلام", "من", "بابک", "هستم"]
    assert "".join(phone.text for phone in said.sentences[0].phones).count("b") == 2
    assert "ده" in [word.text for word in said.sentences[1].words]


@needs_espeak
def test_a_voice_that_tells_no_times(client):
    said = client.say("Hello.", voice="espeak")
    assert said.words == ()
    assert len(said.animation)


@needs_flite
def test_a_voice_that_tells_phones_only(client):
    said = client.say("Hello Bob.", voice="flite")
    assert [phone.text for phone in said.phones][-3:] == ["b", "aa", "b"]
    assert said.words == ()


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("", {}, errors.EmptyText),
        (" \n", {}, errors.EmptyText),
        ("😀", {}, errors.UnspeakableText),
        ("سلام", {}, errors.UnspeakableText),
        ("a" * (speech.MAX_TEXT_CHARACTERS + 1), {}, errors.TextTooLong),
        ("Hello", {"voice": "nobody"}, errors.UnknownVoice),
        ("Hello", {"voice": "piper:/etc/passwd"}, errors.UnknownVoice),
        ("Hello", {"language": "de"}, errors.UnknownLanguage),
        ("Hello", {"language": "!"}, errors.UnknownLanguage),
        ("Hello", {"speed": 3}, errors.SpeedOutOfRange),
        ("Hello", {"speed": float("nan")}, errors.SpeedOutOfRange),
        ("Hello", {"voice_seed": -1}, errors.InvalidOption),
        ("Hello", {"level": 2}, errors.LevelOutOfRange),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(client, text, options, error):
    with pytest.raises(error):
        client.say(text, **options)
    with pytest.raises(error):
        list(
            client.say_stream(text, **{k: v for k, v in options.items() if k != "level"}, level=options.get("level", 1))
        )
    assert client.say("Still here.").sentences


def test_what_is_left_out_is_named(client):
    said = client.say("Hello Bob. 😀 Привет!")
    assert any("😀" in warning for warning in said.warnings)
    assert any("Привет" in warning for warning in said.warnings)


async def test_leaving_stops_it_and_the_next_text_is_said(speaking_server):
    async with AsyncEmoTalkClient(speaking_server.grpc_url) as client:
        stream = client.say_stream(" ".join([TEXT] * 50))
        assert (await anext(stream)).sentence is not None
        began = time.perf_counter()
        await stream.aclose()
        assert time.perf_counter() - began < 1  # 0.2 on a machine with nothing else to do
        assert (await client.say("And on.")).sentences


async def test_a_long_text_does_not_keep_others_waiting(speaking_server):
    async with AsyncEmoTalkClient(speaking_server.grpc_url) as client:
        said = client.say_stream(" ".join([TEXT] * 100))
        await anext(said)
        short = await asyncio.wait_for(client.say("Hello."), 5)
        assert short.sentences
        await said.aclose()


def test_threads_share_a_client(client):
    results = {}

    def work(number):
        results[number] = client.say(f"Number {number}.").audio

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, audio in results.items():
        np.testing.assert_array_equal(audio, client.say(f"Number {number}.").audio)


def test_any_triton_client_may_ask(speaking_server):
    url = f"http://{speaking_server.http_url}/v2/models/speech/generate_stream"
    body = json.dumps({"TEXT": "Hello there. How are you?"}).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        events = [json.loads(line[5:]) for line in answer.read().decode().splitlines() if line.startswith("data:")]
    assert [event["SENTENCE"] for event in events if "SENTENCE" in event] == ["Hello there.", "How are you?"]


def test_a_server_that_was_not_asked_for_voices_says_so(small_repository):
    with EmbeddedServer(small_repository) as server, EmoTalkClient(server.grpc_url) as client:  # noqa: SIM117
        with pytest.raises(ModelMissing, match="--models core,live,speech"):
            client.say("Hello.")


def test_voices_stand_beside_any_repository_and_a_group_may_be_left_out(small_repository):
    server = EmbeddedServer(small_repository, groups=("core", "speech"))
    with server, EmoTalkClient(server.grpc_url) as client:
        assert client.say("Hello.").sentences
        assert client.health()


def test_the_command(speaking_server, tmp_path):
    command = [sys.executable, "-m", "emotalk_cli", "say", "Hello, my name is Bob.", "-o", str(tmp_path / "hello.glb")]
    command += ["--audio", str(tmp_path / "hello.wav"), "--times", str(tmp_path / "times.json")]
    done = subprocess.run([*command, "--url", speaking_server.grpc_url], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    times = json.loads((tmp_path / "times.json").read_text())
    assert [word["word"] for word in times["words"]] == ["Hello", "my", "name", "is", "Bob"]
    assert set(times["phones"][0]) == {"phone", "start", "end"}
    assert len(Animation.load(tmp_path / "hello.glb")) > 40
    assert (tmp_path / "hello.wav").stat().st_size > 40_000


def test_the_command_says_what_is_written_as_it_comes(speaking_server, tmp_path):
    command = [sys.executable, "-m", "emotalk_cli", "--verbose", "say", "-", "-o", str(tmp_path / "face.npy")]
    asked = subprocess.Popen(
        [*command, "--url", speaking_server.grpc_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with asked:
        asked.stdin.write(b"Hello there. And")
        asked.stdin.flush()
        for line in asked.stderr:  # it is said before the text has ended
            if b"Hello there." in line:
                break
        asked.stdin.write(b" on.")
        asked.stdin.close()
        assert b"2 sentences" in asked.stderr.read()
    assert asked.returncode == 0
    assert np.load(tmp_path / "face.npy").shape[1] == 52
