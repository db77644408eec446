"""The WebSocket's rules, step by step, on a server that answers when it is told to."""

import asyncio
import base64
import math
import random

import numpy as np
import pytest
from fake import client
from starlette.requests import HTTPConnection
from virtual import until, virtual
from wscaller import Caller, app_of

from emotalk_contract.timing import FPS, frame_count
from emotalk_gateway.http import conversation
from emotalk_gateway.listening.access import check_origin
from emotalk_gateway.service.errors import OriginNotAllowed
from emotalk_gateway.service.settings import GatewaySettings

pytestmark = pytest.mark.unit

RATE = 16_000


def speech(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype("<f4").tobytes()


def indices(frames):
    return [index for index, _ in frames]


def check(frames, total):
    """All of ``total`` frames of the fake's, once, in order."""
    assert indices(frames) == list(range(total))
    assert all(weights[0] == index for index, weights in frames)


class Gate:
    """Answers from number ``first`` on wait until it is opened."""

    def __init__(self, first=0):
        self.first, self.event = first, asyncio.Event()

    def __call__(self, number):
        return None if number < self.first else self.event

    def open(self):
        self.event.set()


def streams(app):
    return app.state.service.streams.admitted


@pytest.mark.parametrize("hangs", ["the recipe", "the first window", "a window"])
@pytest.mark.parametrize("seconds", [0.5, 30])
@virtual
async def test_cancel_is_heard_though_the_server_answers_nothing(hangs, seconds):
    gate = Gate(first=5 if hangs == "a window" else 0)
    maker, transport = client(gate)
    if hangs == "the recipe":
        known = transport.parameters

        async def never(timeout_s):
            await gate.event.wait()
            return known

        transport.model_parameters = never
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        for n in range(round(seconds * 10)):
            caller.say(speech(0.1, n))
        if hangs == "a window":
            await until(lambda: len(transport.sent) == 6 or seconds < 1)
        caller.say({"type": "cancel", "fade_s": 0.1})
        frames, last = await caller.until("cancelled")
        assert not gate.event.is_set()
        assert last["frames"] == len(frames) == last["kept"] + last["faded"]
        assert last["faded"] == (3 if last["kept"] else 0)
        sent = len(transport.sent)
        caller.say(speech(2.0))
        caller.say({"type": "end", "keep": True})
        gate.open()
        frames, last = await caller.until("end")
        check(frames, 60)
        assert last == {"type": "end", "utterance": 2, "frames": 60}
        assert len(transport.sent) > sent
        assert int(transport.sent[sent][0]["START_FRAME"][0, 0]) == 0, "a new utterance knows nothing of the last"


@virtual
async def test_one_that_leaves_gives_its_place_back_though_the_server_answers_nothing():
    gate = Gate()
    maker, transport = client(gate)
    app = app_of(maker, max_streams=1)
    async with Caller(app) as caller:
        await caller.start()
        for n in range(300):
            caller.say(speech(0.1, n))
        await until(lambda: transport.flying)
        caller.leave()
        await caller.over()
        assert streams(app) == 0
        assert not gate.event.is_set()
    async with Caller(app) as other:
        await other.start()


@virtual
async def test_cancel_is_heard_though_the_caller_does_not_read():
    maker, transport = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.reads.clear()
        caller.say(speech(1))
        await until(lambda: transport.sent)
        caller.say({"type": "cancel"})
        caller.say(speech(1, 1))
        caller.say({"type": "end"})
        sent = len(transport.sent)
        await asyncio.sleep(1)  # of the loop's own clock: what could happen has
        assert len(transport.sent) - sent <= 1, "windows of a cancelled utterance are sent"
        caller.reads.set()
        frames, last = await caller.until("cancelled")
        assert last["frames"] == len(frames) < 30
        frames, last = await caller.until("end")
        check(frames, 30)
        await caller.over()
        assert caller.code == 1000


@virtual
async def test_the_fade_starts_at_what_was_played():
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(speech(2))
        frames = []
        while len(frames) < 40:
            frames += [(f["frame"], np.array(f["blendshapes"])) for f in (await caller.hear())["frames"]]
        caller.say({"type": "cancel", "fade_s": 0.2, "played_frame": 11})
        more, last = await caller.until("cancelled")
        sent, fade = (frames + more)[:-6], more[-6:]
        check(sent, len(sent))
        assert last == {
            "type": "cancelled",
            "utterance": 1,
            "frames": len(sent) + 6,
            "kept": 12,
            "faded": 6,
            "position_s": 0.4,
        }
        assert indices(fade) == list(range(12, 18))
        shares = [0.5 + 0.5 * math.cos(math.pi * step / 6) for step in range(1, 7)]
        np.testing.assert_allclose([weights for _, weights in fade], np.outer(shares, sent[11][1]), atol=1e-5)


@virtual
async def test_what_was_played_may_be_told_in_seconds():
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(speech(2))
        await caller.hear()
        caller.say({"type": "cancel", "fade_s": 1, "played_s": 1.5 / FPS})
        _, last = await caller.until("cancelled")
        assert (last["kept"], last["faded"]) == (2, 30)
        caller.say(speech(1))
        await caller.hear()
        caller.say({"type": "cancel", "fade_s": 1, "played_frame": -1})
        _, last = await caller.until("cancelled")
        assert (last["utterance"], last["kept"], last["faded"]) == (2, 0, 0)


@virtual
async def test_what_was_said_to_its_end_can_still_be_cut_off():
    """Frames come sooner than they are played: the gateway may be done long before the caller is."""
    maker, transport = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(speech(2))
        caller.say({"type": "end", "keep": True})
        frames, _ = await caller.until("end")
        check(frames, 60)
        gate = transport.script = Gate()
        caller.say(speech(1))  # of which no frame has come
        await until(lambda: transport.flying)
        caller.say({"type": "cancel", "fade_s": 0.1, "played_frame": 20})
        fade, last = await caller.until("cancelled")
        assert last == {"type": "cancelled", "utterance": 1, "frames": 63, "kept": 21, "faded": 3, "position_s": 0.7}
        assert indices(fade) == [21, 22, 23]
        caller.say({"type": "cancel", "fade_s": 0.1, "played_frame": 23})  # once more, of a face at rest
        fade, last = await caller.until("cancelled")
        assert fade == []
        gate.open()
        caller.say({"type": "end"})
        assert await caller.until("end") == ([], {"type": "end", "frames": 0})


@pytest.mark.parametrize("keep", [True, False])
@virtual
async def test_an_end_may_take_the_face_to_rest(keep):
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(speech(1))
        caller.say({"type": "end", "keep": keep, "fade_s": 0.3})
        frames, last = await caller.until("end")
        assert indices(frames) == list(range(39))
        check(frames[:30], 30)
        assert frames[29][1].any()
        assert not frames[38][1].any()
        assert last == {"type": "end", **({"utterance": 1} if keep else {}), "frames": 39, "faded": 9}


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("frames", ["json", "float32"])
@pytest.mark.parametrize("pcm", ["int16", "float32"])
@virtual
async def test_frames_come_back_with_their_sound(rate, frames, pcm):
    maker, _ = client()
    clip = np.random.default_rng(7).integers(-32_768, 32_767, rate + 77, np.int16)
    said = clip if pcm == "int16" else (clip / 32_768).astype("<f4")
    async with Caller(app_of(maker)) as caller:
        await caller.start(sample_rate=rate, frames=frames, format=pcm, audio=True)
        for _ in range(2):
            for start in range(0, len(said), 1_000):
                caller.say(said[start : start + 1_000].tobytes())
            caller.say({"type": "end", "keep": True, "fade_s": 0.1})
            heard, total = [], 0
            while not isinstance(message := await caller.hear(), dict) or message["type"] == "frames":
                if frames == "json":
                    count, sound = len(message["frames"]), base64.b64decode(message["audio"])
                    first = message["frames"][0]["frame"]
                else:
                    count = int.from_bytes(message[:4], "little")
                    rows = np.frombuffer(message, "<f4", count * 54, 4).reshape(count, 54)
                    first, sound = int(rows[0, 0]), message[4 + rows.nbytes :]
                assert first == total
                total += count
                heard.append(np.frombuffer(sound, "<i2"))
                assert sum(map(len, heard)) == total * rate // 30, "a block has the sound of exactly its time"
            assert message["frames"] == total == 34
            whole = np.concatenate(heard)
            np.testing.assert_array_equal(whole[: len(clip)], clip)
            assert not whole[len(clip) :].any()


@virtual
async def test_a_start_that_asks_for_sound_cannot_be_without_all_frames():
    maker, _ = client()
    for fields, error in (
        ({"audio": "yes"}, "InvalidMessage"),
        ({"audio": True, "options": {"min_fps": 15}}, "InvalidOption"),
    ):
        async with Caller(app_of(maker)) as caller:
            caller.say({"type": "start", "sample_rate": 16_000, **fields})
            assert (await caller.refused())[0]["error"] == error


@virtual
async def test_cancel_takes_an_end_back():
    gate = Gate(first=2)
    maker, transport = client(gate)
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(speech(1))
        caller.say({"type": "end"})
        await until(lambda: transport.flying and len(transport.sent) == 3)
        caller.say({"type": "cancel"})
        frames, last = await caller.until("cancelled")
        assert 0 < len(frames) == last["frames"] < 30
        gate.open()
        caller.say(speech(1))
        caller.say({"type": "end"})
        frames, last = await caller.until("end")
        check(frames, 30)
        await caller.over()
        assert caller.code == 1000


@virtual
async def test_utterances_follow_one_another():
    maker, transport = client()
    gate = transport.script = Gate()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        for seconds in (1, 0, 2):
            if seconds:
                caller.say(speech(seconds))
            caller.say({"type": "end", "keep": True})
        gate.open()
        for number, total in ((1, 30), (2, 0), (3, 60)):
            frames, last = await caller.until("end")
            check(frames, total)
            assert last == {"type": "end", "utterance": number, "frames": total}


@virtual
async def test_cancel_drops_all_utterances_that_wait():
    maker, transport = client()
    gate = transport.script = Gate()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        for n in range(3):
            caller.say(speech(1, n))
            caller.say({"type": "end", "keep": True})
        await until(lambda: transport.flying)
        caller.say({"type": "cancel"})
        assert await caller.until("cancelled") == (
            [],
            {"type": "cancelled", "utterance": 0, "frames": 0, "kept": 0, "faded": 0, "position_s": 0.0},
        )
        gate.open()
        caller.say(speech(1))
        caller.say({"type": "end", "keep": True})
        frames, last = await caller.until("end")
        check(frames, 30)
        assert last["utterance"] == 4


@virtual
async def test_each_cancel_has_an_answer():
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say({"type": "cancel", "fade_s": 1})
        caller.say({"type": "cancel"})
        for _ in range(2):
            frames, last = await caller.until("cancelled")
            assert (frames, last["utterance"]) == ([], 0)
        caller.say({"type": "cancel", "fade_s": "slowly"})
        message, code = await caller.refused()
        assert (message["error"], code) == ("InvalidOption", 1008)


@pytest.mark.parametrize("seed", range(30))
@virtual
async def test_whatever_is_said_in_whatever_order_each_utterance_is_whole_or_cut_off(seed, monkeypatch):
    """Blocks, ends and cancels at random, over a server that takes its time."""
    monkeypatch.setattr(conversation, "MOST_UTTERANCES", 100)
    chance = random.Random(seed)
    maker, _ = client(lambda _: chance.choice([None, 0.001, 0.005]))
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        samples, open_number, cut_before = (
            [0],
            None,
            [],
        )  # of each utterance, from 1 on; of each cancel: those before it
        for _ in range(60):
            kind = chance.choices(["block", "end", "cancel", "pause"], [10, 2, 1, 4])[0]
            if kind == "pause":
                await asyncio.sleep(chance.choice([0, 0.001, 0.01]))
                continue
            if kind == "cancel":
                caller.say({"type": "cancel", "fade_s": chance.choice([0, 0.1])})
                cut_before.append(len(samples) - 1)
                open_number = None
                continue
            if open_number is None:
                samples.append(0)
                open_number = len(samples) - 1
            if kind == "end":
                caller.say({"type": "end", "keep": True})
                open_number = None
            else:
                seconds = chance.choice([0.01, 0.3, 1.0])
                samples[open_number] += round(seconds * RATE)
                caller.say(speech(seconds, chance.random() and 1))
        caller.say({"type": "end"})
        if open_number is None:
            samples.append(0)
        ended, cuts, frames = [], 0, []
        while True:
            message = await caller.hear()
            if message["type"] == "frames":
                frames += [frame["frame"] for frame in message["frames"]]
            elif message["type"] == "cancelled":
                if frames:
                    assert frames == list(range(len(frames))) or message["utterance"] in ended
                ended += range((ended or [0])[-1] + 1, cut_before[cuts] + 1)  # those that were cut off
                cuts += 1
                frames = []
            else:
                assert message["type"] == "end", message
                number = message.get("utterance", len(samples) - 1)
                assert number == (ended or [0])[-1] + 1, "an utterance was left out, or said twice"
                assert frames == list(range(frame_count(samples[number])))
                assert message["frames"] == len(frames)
                ended.append(number)
                frames = []
                if "utterance" not in message:
                    break
        assert cuts == len(cut_before)
        await caller.over()
        assert caller.code == 1000


@virtual
async def test_speech_that_waits_is_bounded():
    maker, transport = client(Gate())
    app = app_of(maker, max_waiting_s=3)
    async with Caller(app) as caller:
        await caller.start()
        for n in range(10 * (10 + 3 + 2)):  # the session's own ten seconds, and then those three
            caller.say(speech(0.1, n))
        message, code = await caller.refused()
        assert (message["error"], code) == ("StreamBehind", 1008)
        assert "at most 3 s" in message["message"]
        assert streams(app) == 0
    assert transport.flying == 0


@virtual
async def test_speech_that_waits_is_bounded_in_bytes_whatever_the_rate(monkeypatch):
    monkeypatch.setattr(conversation, "MOST_WAITING_BYTES", 2 * 48_000 * 4)
    maker, _ = client(Gate())
    async with Caller(app_of(maker)) as caller:
        await caller.start(sample_rate=48_000)
        for _ in range(20):
            caller.say(bytes(48_000 * 4))
        message, _ = await caller.refused()
        assert message["error"] == "StreamBehind"
        assert "at most 2 s" in message["message"]


@virtual
async def test_a_clip_that_is_sent_at_once_is_spoken_whole():
    """Nobody has to pace what fits."""
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        for n in range(10):
            caller.say(speech(6, n))
        caller.say({"type": "end"})
        frames, _ = await caller.until("end")
        check(frames, frame_count(60 * RATE))


@virtual
async def test_utterances_that_wait_are_bounded():
    maker, _ = client(Gate())
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(speech(1))
        for _ in range(100):
            caller.say({"type": "end", "keep": True})
        message, code = await caller.refused()
        assert (message["error"], code) == ("StreamBehind", 1008)


@virtual
async def test_one_that_never_reads_is_let_go_of():
    maker, transport = client()
    app = app_of(maker, stream_idle_s=0.2)
    async with Caller(app) as caller:
        await caller.start()
        caller.reads.clear()
        caller.say(speech(1))
        for _ in range(40):  # it does speak on
            caller.say(b"")
            await asyncio.sleep(0.01)
        await caller.over()
        assert streams(app) == 0
    assert transport.flying == 0


@virtual
async def test_one_that_waits_for_its_frames_is_not_idle():
    maker, _ = client()
    maker._transport.script = gate = Gate()
    async with Caller(app_of(maker, stream_idle_s=0.05)) as caller:
        await caller.start()
        caller.say(speech(1))
        caller.say({"type": "end", "keep": True})
        await asyncio.sleep(0.3)
        gate.open()
        check((await caller.until("end"))[0], 30)
        message, code = await caller.refused()  # now it is
        assert (message["error"], code) == ("StreamIdle", 1008)


@virtual
async def test_a_start_must_come_in_time():
    maker, _ = client()
    async with Caller(app_of(maker, start_timeout_s=0.1)) as caller:
        message, code = await caller.refused()
        assert (message["error"], code) == ("StartTooLate", 1008)
        assert "0.1 s" in message["message"]


@virtual
async def test_those_that_never_start_are_counted_and_bounded():
    maker, _ = client()
    app = app_of(maker, max_starting=3, max_streams=1)
    silent = [Caller(app) for _ in range(3)]
    for caller in silent:
        await caller.__aenter__()
    await until(lambda: all(caller.sends for caller in silent))
    async with Caller(app) as late:
        message, code = await late.refused()
        assert (message["error"], code) == ("GatewayFull", 1013)
    await silent[0].start()
    async with Caller(app) as late:  # now there is room for one that starts
        late.say({"type": "start", "sample_rate": RATE})
        message, code = await late.refused()
        assert message["message"].startswith("1 streams")
    for caller in silent:
        await caller.__aexit__(None, None, None)
    async with Caller(app) as free:
        await free.start()


@pytest.mark.parametrize("breaks", range(6))
@pytest.mark.parametrize("last", [{"type": "end"}, {"type": "cancel", "fade_s": 1}, {"type": "nonsense"}, "{"])
@virtual
async def test_nothing_is_raised_to_one_that_has_left(breaks, last):
    """Each send fails in turn: accept, started, frames, the last word, the close."""
    maker, _ = client()
    app = app_of(maker)
    async with Caller(app, breaks=breaks) as caller:
        caller.say({"type": "start", "sample_rate": RATE, "format": "float32"})
        caller.say(speech(0.7))
        caller.say(last)
        if last == {"type": "cancel", "fade_s": 1}:
            caller.say({"type": "end"})
        await caller.over()
    assert streams(app) == 0


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "wav"),
        (b"\x1a\x45\xdf\xa3\x01\x00\x00\x00\x00\x00\x00\x1f\x42\x86\x81\x01webm", "webm"),
        (b"OggS\x00\x02\x00\x00", "ogg"),
        (b"\x00\x00\x00\x18ftypM4A \x00\x00", "mp4"),
        (b"fLaC\x00\x00\x00\x22", "flac"),
        (b"ID3\x04\x00\x00\x00\x00", "mp3"),
    ],
)
@pytest.mark.parametrize("size", [4, 100])
@virtual
async def test_a_file_is_not_taken_for_speech(head, kind, size):
    file = head + bytes(400 - len(head))
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start(format="int16")
        caller.say(bytes(2 * RATE))
        caller.say({"type": "end", "keep": True})
        check((await caller.until("end"))[0], 30)
        for start in range(0, len(file), size):
            caller.say(file[start : start + size])
        message, code = await caller.refused()
        assert (message["error"], code) == ("NotRawAudio", 1008)
        assert f"a {kind} file" in message["message"]
        assert "int16" in message["message"]


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        ({"type": "end", "keep": "yes"}, "InvalidMessage", "keep is 'yes'; accepted: true, false"),
        ({"type": "end", "later": 1}, "InvalidMessage", "end has 'later'; accepted: fade_s, keep, type"),
        ({"type": "end", "fade_s": 11}, "InvalidOption", "fade_s is 11"),
        ({"type": "cancel", "fade": 1}, "InvalidMessage", "accepted: fade_s, played_frame, played_s, type"),
        ({"type": "cancel", "played_s": 1, "played_frame": 1}, "InvalidMessage", "one of them"),
        ({"type": "cancel", "played_s": -1}, "InvalidMessage", "played_s is -1"),
        ({"type": "cancel", "played_s": 1e300}, "InvalidMessage", "played_s is 1e+300"),
        ({"type": "cancel", "played_s": True}, "InvalidMessage", "played_s is True"),
        ({"type": "cancel", "played_frame": 10**6}, "InvalidOption", "played_frame is 1000000"),
        ({"type": "cancel", "played_frame": -2}, "InvalidOption", "played_frame is -2"),
        ({"type": "cancel", "played_frame": 0.5}, "InvalidOption", "played_frame is 0.5"),
        ({"type": "cancel", "fade_s": 11}, "InvalidOption", "fade_s is 11"),
        ("[" * 10_000, "InvalidMessage", "a message is not JSON"),
        ({"type": "x" * 10_000}, "InvalidMessage", "(10002 characters)"),
        ({"type": {}}, "InvalidMessage", "a message of type {}"),
    ],
)
@virtual
async def test_a_mistake_is_said(message, error, words):
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(message)
        said, code = await caller.refused()
        assert (said["error"], code) == (error, 1008)
        assert words in said["message"]
        assert len(said["message"]) < 500


@pytest.mark.parametrize("emotions", ["[" * 10_000, "{" * 10_000, '{"joy":' * 10_000, "[" * 900 + "]" * 900, "\x00"])
@virtual
async def test_options_that_cannot_be_read_are_said(emotions):
    maker, _ = client()
    async with Caller(app_of(maker)) as caller:
        caller.say({"type": "start", "sample_rate": RATE, "options": {"emotions": emotions}})
        message, code = await caller.refused()
        assert code == 1008
        assert message["error"] != "InternalError"
        assert len(message["message"]) < 1000


@virtual
async def test_nothing_follows_an_end():
    maker, _ = client(Gate())
    async with Caller(app_of(maker)) as caller:
        await caller.start()
        caller.say(speech(1))
        caller.say({"type": "end"})
        caller.say(speech(1))
        message, _ = await caller.refused()
        assert message["error"] == "InvalidMessage"
        assert "keep" in message["message"]


@pytest.mark.parametrize(
    ("origin", "scheme", "accepted"),
    [
        ("http://localhost:8080", "ws", True),
        ("http://LOCALHOST:8080", "ws", True),
        ("https://localhost:8080", "ws", False),
        ("https://localhost:8080", "wss", True),
        ("http://localhost", "ws", False),
        ("http://localhost:8080.evil.example", "ws", False),
        ("http://localhost:8080@evil.example", "ws", False),
        ("ftp://localhost:8080", "ws", False),
        ("null", "ws", False),
        ("", "ws", False),
        ("http://[::1", "ws", False),
        ("http://gateway:99999", "ws", False),
        ("http://localhost:8080/path", "ws", False),
        ("http://\xe9\xff", "ws", False),
        ("http://" + "x" * 10_000, "ws", False),
        ("https://known.example", "ws", True),
        ("https://known.example:443", "ws", True),
        ("http://known.example", "ws", False),
    ],
)
@virtual
async def test_a_page_of_another_origin_is_refused(origin, scheme, accepted):
    maker, _ = client()
    app = app_of(maker, cors_origins=["https://known.example"])
    async with Caller(app, scheme=scheme, origin=origin) as caller:
        if accepted:
            await caller.start()
            return
        message, code = await caller.refused()
        assert (message["error"], code) == ("OriginNotAllowed", 1008)
        assert len(message["message"]) < 400


@pytest.mark.parametrize("host", ["", "[::1", "localhost:port"])
def test_a_host_that_cannot_be_read_is_no_page_s_own(host):
    headers = [(b"host", host.encode()), (b"origin", b"http://localhost:8080")]
    connection = HTTPConnection({"type": "websocket", "scheme": "ws", "headers": headers})
    with pytest.raises(OriginNotAllowed, match="http://localhost:8080 may not ask"):
        check_origin(connection, GatewaySettings())


@virtual
async def test_a_page_that_gave_this_machine_its_own_name_is_refused_at_the_handshake():
    maker, _ = client()
    async with Caller(app_of(maker), host="evil.example", origin="http://evil.example") as caller:
        await caller.over()
        assert caller.status == 421
        assert caller.answers.empty()
