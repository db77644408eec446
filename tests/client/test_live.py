"""Live sessions on a fake transport: every frame once, in order, whatever the speaker and the server do."""

import asyncio
import inspect
import itertools
import math
import random
from dataclasses import fields

import numpy as np
import pytest
from fake import PARAMETERS, STREAMING, FakeTransport, client
from virtual import GUARD_S, steps, until, virtual

from emotalk_client import (
    AsyncLiveSession,
    Cancelled,
    ClientClosed,
    EmoTalkClient,
    InvalidAudio,
    LiveOptions,
    LiveSession,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    SessionEnded,
)
from emotalk_client.audio.loading import load
from emotalk_client.errors import DeadlineExceeded, UnexpectedResponse
from emotalk_client.faces.animation import Frame
from emotalk_client.live.audio import PRIOR_S, PRIOR_VARIANCE
from emotalk_client.live.fade import ShownFrames
from emotalk_client.live.settings import LONGEST_FADE_S, LiveSettings
from emotalk_client.live.utterance import LATE_S, PIECE_S
from emotalk_contract import errors
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, frame_count

pytestmark = pytest.mark.unit

RATE = 16_000
NOT_NORMALISING = Recipe(normalisation="none", frame_grid="uniform").strings() | {"model": "another fake"}


def speech(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def indices(frames):
    return [frame.index for frame in frames]


def check(frames, total):
    """All of ``total`` frames, once, in order, each its own face."""
    assert indices(frames) == list(range(total))
    assert all(frame.weights[0] == frame.index and frame.timecode == frame.index / 30 for frame in frames)


def heard(transport):
    """The stream as the server got it, put together from the windows; silence beyond it is not cut off."""
    sent = [(int(inputs["START_FRAME"][0, 0]) // 3 * 1600, inputs["AUDIO"][0]) for inputs, _ in transport.sent]
    whole = np.zeros(max(start + len(audio) for start, audio in sent), np.float32)
    for start, audio in sent:
        whole[start : start + len(audio)] = audio
    return whole


async def speak(session, clip, size):
    """Push ``clip`` in blocks of ``size`` samples, then flush; all frames."""
    frames = []
    for start in range(0, len(clip), size):
        frames += await session.push(clip[start : start + size])
    return frames + await session.flush()


async def speak_on(session, frames):
    """Push until that is an error; ``frames`` gets what came before."""
    while True:
        frames += await session.push(speech(320))
        await asyncio.sleep(0.001)


class Gate:
    """A script by which each answer from number ``first`` on waits until it is let through."""

    def __init__(self, first=0):
        self.first, self.events = first, {}
        self.opened = False

    def __call__(self, number):
        if number < self.first or self.opened:
            return None
        return self.events.setdefault(number, asyncio.Event())

    def open(self):
        self.opened = True
        for event in self.events.values():
            event.set()


@pytest.mark.parametrize(
    ("samples", "size"),
    [
        (0, 1),
        (1, 1),
        (4_800, 1),
        (719, 100),
        (720, 720),
        (50_001, 160),
        (50_001, 533),
        (50_001, 4_800),
        (970_000, 10**6),
    ],
)
async def test_any_pushes_give_every_frame_once(samples, size):
    maker, transport = client()
    async with maker.live(sample_rate=RATE) as session:
        check(await speak(session, speech(samples), size), frame_count(samples))
    assert transport.most_flying <= 1
    assert session.status.left_out == 0


async def test_frames_come_as_soon_as_their_look_ahead_was_spoken():
    maker, transport = client()
    session = maker.live(sample_rate=RATE, look_ahead=0.5, hop=1 / 30)
    await session.push(speech(8_000 - 1))
    assert transport.sent == []
    await session.push(speech(1))
    assert indices(await asyncio.wait_for(session.receive(), GUARD_S)) == [0]
    assert await session.push(speech(533)) == []
    await session.push(speech(1))
    assert indices(await asyncio.wait_for(session.receive(), GUARD_S)) == [1]
    await session.close()


async def test_a_frame_that_looks_at_nothing_ahead_still_has_to_be_spoken():
    maker, _ = client()
    for samples in (1_600, 1_601, 16_000, 16_001):
        for hop in (1, 2, 3):
            session = maker.live(sample_rate=RATE, look_ahead=0.0, context=0.0, hop=hop / 30, raw=True)
            check(await speak(session, speech(samples), 1_600), frame_count(samples))


async def test_a_slow_server_gets_few_windows_and_makes_push_wait():
    gate = Gate(first=1)
    maker, transport = client(gate)
    session = maker.live(sample_rate=RATE, backlog=5.0)
    clip, frames = speech(60 * RATE), []

    async def talk():
        for start in range(0, len(clip), 2_000):
            frames.extend(await session.push(clip[start : start + 2_000]))
        frames.extend(await session.flush())

    talking = asyncio.create_task(talk())
    usual = 0.5 + 3 / 30 + 1e-3  # look-ahead, a hop, smoothing's frame
    for turn in range(12):
        await until(lambda turn=turn: len(transport.sent) > turn + 1)
        await until(lambda: session.status.backlog_s >= 5.0)
        await steps()  # of a push that would not wait
        status = session.status
        assert not talking.done()
        assert 5.0 <= status.backlog_s <= 5.0 + usual + PIECE_S
        assert session._utterance._audio.tail.held < 20 * RATE
        assert status.late
        gate.events[turn + 1].set()
    gate.open()
    await asyncio.wait_for(talking, GUARD_S)
    check(frames, 1_800)
    assert transport.most_flying == 1
    assert len(transport.sent) < 1_800 / 2 / 5
    assert not session.status.late
    assert session.status.left_out == 0


async def test_the_rate_falls_while_the_server_is_late_and_recovers():
    gate = Gate(first=1)
    maker, _ = client(gate)
    session = maker.live(sample_rate=RATE, min_fps=7.5, hop=0.1)
    frames, rates = await session.push(speech(RATE)), []
    for turn in range(1, 200):
        late = turn < 6
        frames += await session.push(speech(RATE if late else 1_600))
        await until(lambda turn=turn: turn in gate.events)
        gate.events[turn].set()
        frames += await asyncio.wait_for(session.receive(), GUARD_S)
        rates.append(session.status.fps)
        assert session.status.late == (session.status.backlog_s > 0.5 + 4 / 30 + LATE_S)
        if rates[-1] == 30 and 7.5 in rates:
            break
    gate.open()
    frames += await session.flush()
    assert {7.5, 15, 30} == set(rates)
    assert min(rates.index(7.5), rates.index(15)) == rates.index(15)
    assert rates[-1] == 30
    left = session.status.left_out
    assert left > 0
    assert left + len(frames) == frame_count(round(session.status.spoken_s * RATE))
    assert indices(frames) == sorted(set(indices(frames)))
    steps = np.diff(indices(frames))
    assert set(steps) <= {1, 2, 3, 4}
    assert 4 in steps
    assert steps[-1] == 1


@pytest.mark.parametrize(
    "failure", [ServerError("broken"), UnexpectedResponse("odd"), errors.InvalidStyle("sums to 2")]
)
async def test_what_stays_wrong_ends_the_session_after_the_frames_that_were_there(failure):
    maker, transport = client(lambda number: failure if number >= 3 else None)
    session = maker.live(sample_rate=RATE)
    frames = []
    with pytest.raises(type(failure)):
        await speak_on(session, frames)
    check(frames, 6)  # three windows of two frames
    for again in (session.push(speech(320)), session.feed(speech(1)), session.receive(), session.flush()):
        with pytest.raises(type(failure)):
            await again
    assert len(transport.sent) == 4
    assert (await session.cancel()).fade == []
    transport.script = {}
    check(await speak(session, speech(RATE), 1_600), 30)  # the next utterance, of a server that is well again


async def test_a_flush_that_cannot_be_complete_says_so_and_loses_no_frame():
    maker, _ = client({2: ServerError("broken")})
    session = maker.live(sample_rate=RATE)
    for _ in range(10):
        await session.feed(speech(1_600))
    with pytest.raises(ServerError, match="broken"):
        await session.flush()
    frames = await session.receive()
    assert indices(frames) == list(range(len(frames)))
    assert frames
    with pytest.raises(ServerError, match="broken"):
        await session.receive()


async def test_the_frames_that_were_there_are_pushed_out_before_the_error():
    maker, _ = client({1: ServerError("broken")})
    session = maker.live(sample_rate=RATE)
    await session.feed(speech(RATE))
    await until(lambda: session._utterance._error is not None)
    assert await session.push(speech(RATE))
    with pytest.raises(ServerError, match="broken"):
        await session.push(speech(RATE))


@virtual
async def test_a_server_that_stays_away_is_an_error_after_the_deadline():
    maker, transport = client(lambda number: ServerUnavailable("gone") if number >= 2 else None, retries=1)
    session = maker.live(sample_rate=RATE, timeout_s=0.8)
    now = asyncio.get_running_loop().time
    began = now()
    with pytest.raises((ServerUnavailable, DeadlineExceeded)):
        await speak(session, speech(5 * RATE), 1_600)
    assert 0.3 < now() - began <= 0.8
    assert len(transport.sent) > 2 + 2  # more often than a call's own retries


@virtual
async def test_an_answer_that_never_comes_is_an_error_after_the_deadline(monkeypatch):
    """Even where the transport itself keeps no deadline, as the fake does not."""
    monkeypatch.setattr("emotalk_client.live.utterance.OVERRUN_S", 0.05)
    maker, transport = client({3: 60})
    session = maker.live(sample_rate=RATE, timeout_s=0.1)
    now = asyncio.get_running_loop().time
    frames = []
    with pytest.raises(DeadlineExceeded, match=r"0\.1 s"):
        await speak_on(session, frames)
    assert now() == pytest.approx(transport.last + 0.15)
    assert indices(frames) == list(range(len(frames)))
    assert frames
    await steps()
    assert transport.flying == 0


@virtual
async def test_what_passes_is_tried_again_and_nobody_notices():
    maker, transport = client({0: ServerBusy("full"), 3: ServerUnavailable("gone"), 4: ServerBusy("full")}, retries=1)
    session = maker.live(sample_rate=RATE)
    check(await speak(session, speech(2 * RATE), 1_600), 60)
    assert transport.flying == 0


async def test_retries_can_be_switched_off():
    maker, transport = client({0: ServerBusy("full")}, retries=0)
    with pytest.raises(ServerBusy):
        await speak(maker.live(sample_rate=RATE), speech(2 * RATE), 1_600)
    assert len(transport.sent) == 1


@virtual
async def test_a_session_that_nobody_speaks_into_waits():
    maker, _ = client()
    session = maker.live(sample_rate=RATE, timeout_s=0.02)
    listening = asyncio.create_task(session.receive())
    await session.feed(speech(100))
    await asyncio.sleep(0.2)
    assert not listening.done()
    await session.feed(speech(RATE))
    assert indices(await asyncio.wait_for(listening, GUARD_S))[0] == 0
    await session.close()


async def test_a_session_that_cannot_start_says_why_to_all_who_ask():
    maker, transport = client(retries=0)

    async def unreachable(timeout_s):
        raise ServerUnavailable("nobody there")

    transport.model_parameters = unreachable
    session = maker.live(sample_rate=RATE)
    listening = asyncio.create_task(session.receive())
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            await session.push(speech(RATE))
    with pytest.raises(ServerUnavailable):
        await asyncio.wait_for(listening, GUARD_S)
    with pytest.raises(ServerUnavailable):
        await session.flush()


async def test_closing_does_not_wait_for_a_start_that_takes_its_time():
    maker, transport = client()

    asked, never = asyncio.Event(), asyncio.Event()

    async def silent(timeout_s):
        asked.set()
        await never.wait()

    transport.model_parameters = silent
    session = maker.live(sample_rate=RATE)
    pushing = asyncio.create_task(session.push(speech(RATE)))
    await asked.wait()
    await asyncio.wait_for(session.close(), GUARD_S)
    with pytest.raises(SessionEnded, match="closed"):
        await asyncio.wait_for(pushing, GUARD_S)


@virtual
async def test_cancel_stops_at_once_and_fades_to_rest():
    gate = Gate(first=3)
    maker, transport = client(gate)
    session = maker.live(sample_rate=RATE)
    frames = await session.push(speech(RATE))
    while len(transport.sent) <= 3:
        frames += await asyncio.wait_for(session.receive(), GUARD_S)
        frames += await session.push(speech(4_800))
    await session.feed(speech(RATE))
    await until(lambda: transport.flying == 1)
    sent = len(transport.sent)
    answer = await asyncio.wait_for(session.cancel(fade_s=0.25), GUARD_S)
    fade = answer.fade
    assert (answer.utterance, answer.frames, answer.kept) == (1, len(frames), len(frames))
    assert answer.position_s == len(frames) / 30
    assert (transport.flying, transport.cancelled) == (0, 1)
    last = frames[-1]
    assert indices(fade) == list(range(last.index + 1, last.index + 1 + math.ceil(0.25 * FPS)))
    assert [frame.timecode for frame in fade] == [frame.index / 30 for frame in fade]
    shares = [frame.weights[0] / last.weights[0] for frame in fade]
    assert all(before > after for before, after in zip([1, *shares], shares, strict=False))
    assert np.abs(np.diff([1, *shares])).max() < 0.25  # no jump
    assert not fade[-1].weights.any()
    assert all(frame.weights.dtype == np.float32 for frame in fade)
    gate.open()
    await steps()
    assert len(transport.sent) == sent
    assert (await session.cancel(fade_s=0.25)).fade == []  # at rest already
    assert await session.receive() == []


async def test_a_fade_goes_on_from_the_frame_that_was_played():
    maker, _ = client()
    session = maker.live(sample_rate=RATE)
    frames = await session.push(speech(2 * RATE))
    while len(frames) < 20:
        frames += await asyncio.wait_for(session.receive(), GUARD_S)
    answer = await session.cancel(fade_s=0.1, played_frame=7)
    fade = answer.fade
    assert (answer.frames, answer.kept, answer.position_s) == (len(frames), 8, 8 / 30)
    assert indices(fade) == [8, 9, 10]
    np.testing.assert_allclose([frame.weights[0] for frame in fade], 7 * np.array([0.75, 0.25, 0]), atol=1e-5)
    assert (await session.cancel(fade_s=0.1, played_frame=9)).fade == []  # at rest already


async def test_a_fade_starts_at_the_frame_before_one_that_was_left_out_or_is_forgotten(monkeypatch):
    monkeypatch.setattr("emotalk_client.live.fade._KEPT", 3)
    shown = ShownFrames()
    shown.push([Frame(index, index / FPS, np.full(52, index, np.float32)) for index in (0, 1, 2, 4, 8, 12)])
    for played, face in ((12, 12), (11, 8), (7, 4), (1, 4)):  # what lies before 4 was let go of
        (rest,) = shown.fade(1 / FPS, played)
        (first, _) = shown.fade(2 / FPS, played)
        assert (rest.index, rest.weights.any()) == (played + 1, False)
        assert first.weights[0] == pytest.approx(face / 2)


@pytest.mark.parametrize("played_frame", [-2, 30, 10**9, 0.5, math.nan, "1", True])
async def test_a_frame_that_was_not_handed_out_was_not_played(played_frame):
    maker, _ = client()
    session = maker.live(sample_rate=RATE)
    frames = await session.push(speech(RATE))
    with pytest.raises(errors.InvalidOption, match=r"played_frame is .*; accepted: the index of a frame that was"):
        await session.cancel(0.1, played_frame)
    check(frames + await session.flush(), 30)


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_an_end_does_not_wait_for_what_cannot_be_cancelled(end):
    """A call that is on its way stays on its way: its answer is dropped."""
    maker, transport = client()
    asked, released = asyncio.Event(), asyncio.Event()

    async def stubborn(*_):
        asked.set()
        try:
            await released.wait()
        except asyncio.CancelledError:
            await released.wait()
        raise ServerUnavailable("too late for anybody")

    transport.infer = stubborn
    session = maker.live(sample_rate=RATE)
    await session.feed(speech(RATE))
    await asked.wait()
    await asyncio.wait_for(getattr(session, end)(), GUARD_S)
    assert not released.is_set()
    assert await session.receive() == []
    released.set()


async def test_cancel_without_a_face_or_a_fade_gives_nothing():
    maker, _ = client()
    answer = await maker.live(sample_rate=RATE).cancel(fade_s=1)
    assert answer == Cancelled(utterance=0, frames=0, kept=0, fade=[])
    session = maker.live(sample_rate=RATE)
    await session.push(speech(RATE))
    await session.receive()
    assert (await session.cancel()).fade == []
    assert len((await session.cancel(fade_s=0.1)).fade) == 3


@pytest.mark.parametrize("fade_s", [-1, math.nan, math.inf, LONGEST_FADE_S + 1, "long", None, True])
async def test_a_fade_that_cannot_be_is_refused_and_the_session_goes_on(fade_s):
    maker, _ = client()
    session = maker.live(sample_rate=RATE)
    frames = await session.push(speech(RATE))
    with pytest.raises(errors.InvalidOption, match=r"fade_s is .*; accepted: 0\.\.10 seconds"):
        await session.cancel(fade_s)
    check(frames + await session.flush(), 30)


async def test_after_its_end_a_session_says_so():
    maker, transport = client()
    session = maker.live(sample_rate=RATE)
    await session.push(speech(RATE))
    await session.close()
    sent = len(transport.sent)
    calls = session.push(speech(1)), session.feed(speech(0)), session.flush(), session.finish(), session.begun()
    for call in calls:
        with pytest.raises(SessionEnded, match="closed"):
            await call
    while await asyncio.wait_for(session.receive(), GUARD_S):
        pass
    await session.close()
    assert len(transport.sent) == sent


async def test_while_frames_of_a_finished_utterance_are_left_a_caller_of_push_is_told():
    maker, _ = client()
    session = maker.live(sample_rate=RATE)
    frames = await session.push(speech(RATE))
    await session.finish()
    for call in (session.push(speech(1)), session.flush(), session.finish()):
        with pytest.raises(SessionEnded, match=r"receive the rest of its frames"):
            await call
    check(frames + await collect(session), 30)
    check(await speak(session, speech(RATE), 1_600), 30)


@pytest.mark.parametrize("end", ["flush", "cancel", "finish"])
@pytest.mark.parametrize("way", [PARAMETERS, STREAMING], ids=["windows", "steps"])
async def test_the_same_session_takes_the_next_utterance(end, way):
    """Each as of a session of its own: nothing of one is heard in the next."""
    maker, transport = client(parameters=way)

    async def uttered(session, number):
        transport.sent.clear()
        transport.heard = {}
        clip = speech(44_100 * number + 77, number)
        frames = await session.push(clip)
        if end == "cancel" and number < 3:
            frames = frames or await asyncio.wait_for(session.receive(), GUARD_S)
            assert (await session.cancel()).utterance == number
            return None
        if end == "finish":
            await session.finish()
            frames += await asyncio.wait_for(collect(session), GUARD_S)
        else:
            frames += await session.flush()
        check(frames, 30 * number + 1)
        return [[value.tobytes() for value in inputs.values()] for inputs, _ in transport.sent]

    session = maker.live(sample_rate=44_100)
    for number in (1, 2, 3):
        sent = await uttered(session, number)
        assert session.status.utterance == number
        if sent is not None:
            assert sent == await uttered(maker.live(sample_rate=44_100), number)


async def test_a_listener_hears_one_utterance_after_the_other():
    maker, _ = client()
    session = maker.live(sample_rate=RATE)
    heard_of = {}

    async def listen():
        while True:
            number = await session.begun()
            heard_of[number] = await collect(session)

    listening = asyncio.create_task(listen())
    for number in range(1, 5):
        await session.feed(speech(1_600 * number))  # waits for the listener
        await session.finish()
    await until(lambda: len(heard_of) == 4)
    for number, frames in heard_of.items():
        check(frames, 3 * number)
    await session.close()
    with pytest.raises(SessionEnded, match="closed"):
        await asyncio.wait_for(listening, GUARD_S)


async def test_speech_that_waits_while_cancel_comes_is_not_heard_after_it():
    gate = Gate(first=1)
    maker, transport = client(gate)
    session = maker.live(sample_rate=RATE, backlog=1.0)
    waiting = [asyncio.create_task(session.feed(speech(5 * RATE))) for _ in range(3)]
    await until(lambda: session.status.backlog_s > 1 and transport.flying)
    await session.cancel()
    for task in waiting:
        with pytest.raises(SessionEnded, match="cancelled"):
            await asyncio.wait_for(task, GUARD_S)
    gate.open()
    check(await speak(session, speech(RATE), 1_600), 30)
    assert session.status.utterance == 2


async def test_a_cut_counts_in_the_newest_utterance_that_was_seen():
    gate = Gate()
    maker, transport = client()
    session = maker.live(sample_rate=RATE)
    check(await speak(session, speech(2 * RATE), 1_600), 60)
    transport.script = gate
    await session.feed(speech(RATE, 1))  # of which no frame has come
    await until(lambda: transport.flying)
    answer = await session.cancel(fade_s=0.1, played_frame=20)
    assert (answer.utterance, answer.frames, answer.kept, indices(answer.fade)) == (1, 60, 21, [21, 22, 23])
    assert answer.position_s == pytest.approx(0.7)
    gate.open()


@pytest.mark.parametrize("way", [PARAMETERS, STREAMING], ids=["windows", "steps"])
@pytest.mark.parametrize("samples", [1, 1_599, 16_000, 40_001])
@pytest.mark.parametrize("audio", [False, True])
async def test_after_the_end_the_face_goes_to_rest_where_it_is_asked_to(way, samples, audio):
    maker, _ = client(parameters=way)
    session = maker.live(sample_rate=RATE, audio=audio)
    total = frame_count(samples)
    for fade_s, steps_to_rest in ((0.3, 9), (0.0, 0), (0.05, 2)):
        await session.feed(speech(samples))
        await session.finish(fade_s)
        frames = await collect(session)
        assert indices(frames) == list(range(total + steps_to_rest))
        check(frames[:total], total)
        assert (session.status.frames, session.status.faded) == (total, steps_to_rest)
        fade = [frame.weights[0] for frame in frames[total - 1 :]]
        assert all(before > after for before, after in itertools.pairwise(fade)) or total == 1
        assert not (steps_to_rest and frames[-1].weights.any())
        sizes = [len(frame.audio) // 2 if audio else frame.audio for frame in frames]
        assert sizes == [
            (index + 1) * RATE // 30 - index * RATE // 30 if audio else None for index in range(total + steps_to_rest)
        ]


async def test_without_speech_there_is_nothing_to_go_to_rest_from():
    maker, _ = client()
    session = maker.live(sample_rate=RATE)
    assert await session.flush(fade_s=1.0) == []
    with pytest.raises(errors.InvalidOption, match=r"fade_s is 11; accepted: 0\.\.10 seconds"):
        await session.finish(11)


@pytest.mark.parametrize("way", [PARAMETERS, STREAMING], ids=["windows", "steps"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
async def test_frames_come_with_the_sound_of_their_time(way, rate, channels):
    maker, _ = client(parameters=way)
    session = maker.live(sample_rate=rate, audio=True)
    for seconds in (2.03, 0.5):
        clip = np.random.default_rng(1).integers(-20_000, 20_000, (round(seconds * rate), channels), np.int16)
        clip[:, 1:] = clip[:, :1] // 2
        frames = await speak(session, clip if channels > 1 else clip[:, 0], 777)
        sounds = [np.frombuffer(frame.audio, "<i2") for frame in frames]
        for frame, sound in zip(frames, sounds, strict=True):
            assert len(sound) == (frame.index + 1) * rate // 30 - frame.index * rate // 30
        whole = np.concatenate(sounds)
        np.testing.assert_array_equal(whole[: len(clip)], np.rint(clip.mean(axis=1)))
        assert not whole[len(clip) :].any()


async def test_a_fade_is_silent_for_as_long_as_it_takes():
    maker, _ = client()
    session = maker.live(sample_rate=44_100, audio=True)
    assert await session.push(speech(44_100)) or await session.receive()
    answer = await session.cancel(fade_s=0.3, played_frame=0)
    assert [frame.audio for frame in answer.fade] == [bytes(2 * 1_470)] * 9


def test_a_frame_that_is_remembered_keeps_no_sound():
    shown = ShownFrames()
    shown.push([Frame(0, 0.0, np.ones(52, np.float32), b"\1\2")])
    assert shown._frames[0].audio is None


@pytest.mark.parametrize(
    ("block", "kind", "words"),
    [
        (np.array([0.0, np.nan], np.float32), errors.AudioNotFinite, "nan at sample 1601;"),
        (np.array([np.inf]), errors.AudioNotFinite, "inf at sample 1600;"),
        (np.array([[np.inf, -np.inf]]), errors.AudioNotFinite, "nan"),
        (np.array([1e300]), errors.AudioNotFinite, "inf"),
        (np.array([30_000.0]), errors.AudioOutOfRange, "divide 16-bit integers"),
        (np.array([1, 2]), InvalidAudio, "int64"),
        (np.array([True]), InvalidAudio, "bool"),
        (np.array([1j]), InvalidAudio, "complex128"),
        (np.array(["a"]), InvalidAudio, "<U1"),
        (np.float32(0.5), InvalidAudio, "float32"),
        (np.array(0.5), InvalidAudio, r"block has shape \[\]"),
        (np.zeros((2, 2, 2)), InvalidAudio, r"\[2, 2, 2\]; accepted: \[samples\] or"),
        (np.zeros((2, 4_800)), InvalidAudio, "at most 256 channels"),
        (np.zeros((5, 0)), InvalidAudio, r"\[5, 0\]"),
        (b"\0\0", InvalidAudio, "bytes; accepted: an array"),
        (bytearray(4), InvalidAudio, "bytearray"),
        ([0.0, [0.0]], InvalidAudio, "list"),
        (None, InvalidAudio, "NoneType"),
        (np.append(speech(3 * RATE), np.nan), errors.AudioNotFinite, "nan at sample 49600;"),  # not its first seconds
    ],
)
async def test_a_bad_block_is_refused_whole_and_the_session_goes_on_without_it(block, kind, words):
    maker, transport = client()
    session = maker.live(sample_rate=RATE)
    clip = speech(3_200)
    frames = await session.push(clip[:1_600])
    with pytest.raises(kind, match=words) as caught:
        await session.push(block)
    assert type(caught.value) is kind
    assert session.status.spoken_s == 0.1
    frames += await session.push(clip[1_600:]) + await session.flush()
    check(frames, 6)
    np.testing.assert_array_equal(heard(transport)[:3_200], clip)


async def test_statistics_run_along_without_jumps():
    maker, transport = client()
    session = maker.live(sample_rate=RATE, hop=2 / 30)
    clip = np.concatenate([np.zeros(RATE, np.float32), 0.02 + speech(4 * RATE), 3 * speech(RATE, 1)])
    frames = []
    for start in range(0, len(clip), 1_600):
        frames += await session.push(clip[start : start + 1_600])
        await until(lambda: transport.flying == 0)
    check(frames + await session.flush(), 180)
    told = np.array([inputs["CLIP_STATS"][0] for inputs, _ in transport.sent])
    prior = PRIOR_S * RATE
    wide, count = clip.astype(np.float64), len(clip) + prior
    mean = wide.sum() / count
    variance = (np.square(wide).sum() + prior * PRIOR_VARIANCE) / count - mean**2
    np.testing.assert_allclose(told[-1], [mean, variance], rtol=1e-5)
    loudness = np.sqrt(told[:, 1])
    jumps = np.abs(np.diff(np.log(loudness)))
    assert jumps.max() < np.log(1.1)  # though speech starts, and gets three times as loud, at once
    assert loudness[0] > loudness[10] * 1.02  # or nothing runs


async def test_a_model_that_normalises_itself_is_told_no_statistics():
    maker, transport = client(parameters=NOT_NORMALISING)
    session = maker.live(sample_rate=RATE, level=0.25, person=3, seed=9, gains={"jawOpen": 2.0})
    await speak(session, speech(RATE), 1_600)
    for inputs, parameters in transport.sent:
        assert set(inputs) == {"AUDIO", "START_FRAME", "LEVEL", "PERSON"}
        assert (inputs["LEVEL"], inputs["PERSON"]) == (np.float32(0.25), 3)
        assert parameters == {"seed": 9, "gains": '{"jawOpen": 2.0}'}


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("kind", ["int16", "int32", "uint8", "float32", "float64"])
@pytest.mark.parametrize("channels", [0, 2, 9])
async def test_the_server_hears_what_a_whole_file_would_give(rate, kind, channels):
    sizes = random.Random(7)
    floats = speech((2 * rate + 11) * max(1, channels)).reshape(-1, *([channels] if channels else []))
    if kind.startswith("f"):
        clip = floats.astype(kind)
    else:
        info = np.iinfo(kind)
        middle = 0 if info.min else 128
        clip = np.clip(floats * info.max + middle, info.min, info.max).astype(kind)
    if channels == 9:
        clip = np.asfortranarray(clip)
    maker, transport = client()
    session = maker.live(sample_rate=rate)
    start, frames = 0, []
    while start < len(clip):
        size = sizes.choice([1, 100, 4_410, 20_000, 150_000])
        frames += await session.push(clip[start : start + size])
        start += size
    frames += await session.flush()
    whole = load(clip, rate)
    check(frames, frame_count(len(whole)))
    np.testing.assert_array_equal(heard(transport)[: len(whole)], whole)


@virtual
async def test_tasks_that_speak_at_once_do_not_mix_their_blocks():
    maker, transport = client(lambda number: 0.002)
    session = maker.live(sample_rate=RATE, backlog=1.0)
    listening = asyncio.create_task(collect(session))
    talkers = [session.feed(np.full(round(2.5 * RATE), level, np.float32)) for level in (0.1, 0.2, 0.3, 0.4)]
    await asyncio.gather(*talkers)
    await session.finish()
    check(await asyncio.wait_for(listening, GUARD_S), 300)
    audio = heard(transport)[: 10 * RATE]
    assert np.count_nonzero(np.diff(audio)) == 3


async def collect(session):
    frames = []
    while more := await session.receive():
        assert indices(more) == list(range(more[0].index, more[-1].index + 1))
        frames += more
    return frames


@virtual
async def test_tasks_that_listen_at_once_share_the_frames_and_all_end():
    maker, _ = client(lambda number: 0.001 * (number % 3))
    session = maker.live(sample_rate=RATE)
    listeners = [asyncio.create_task(collect(session)) for _ in range(5)]
    for start in range(0, 3 * RATE, 800):
        await session.feed(speech(800, start))
        await asyncio.sleep(0)
    flushed = await asyncio.wait_for(session.flush(), GUARD_S)
    shares = await asyncio.wait_for(asyncio.gather(*listeners), GUARD_S)
    check(sorted((frame for share in [*shares, flushed] for frame in share), key=lambda frame: frame.index), 90)


async def test_nobody_who_waits_is_forgotten():
    """News for one that waits is news for all, also for one that has only just begun to wait."""
    maker, _ = client()
    for delay in range(12):
        session = maker.live(sample_rate=RATE)
        await session.feed(speech(4_000))

        async def listen(turns, session=session):
            for _ in range(turns):
                await asyncio.sleep(0)
            return await session.receive()

        listeners = [asyncio.create_task(listen(turns)) for turns in (0, delay, delay + 1, 2 * delay)]
        for _ in range(delay):
            await asyncio.sleep(0)
        await session.finish()
        results = await asyncio.wait_for(asyncio.gather(*listeners), GUARD_S)
        assert sorted(index for frames in results for index in indices(frames)) == list(range(8))


async def test_closing_ends_a_push_that_waits():
    gate = Gate()
    maker, transport = client(gate)
    session = maker.live(sample_rate=RATE, backlog=1.0)
    waiting = [asyncio.create_task(session.push(speech(20 * RATE))) for _ in range(2)]
    waiting.append(asyncio.create_task(session.flush()))
    await until(lambda: session.status.backlog_s > 1)
    await asyncio.wait_for(session.close(), GUARD_S)
    for task in waiting:
        with pytest.raises(SessionEnded, match="closed"):
            await asyncio.wait_for(task, GUARD_S)
    assert transport.flying == 0


async def test_cancel_ends_a_flush_that_waits():
    maker, _ = client(Gate())
    session = maker.live(sample_rate=RATE)
    await session.push(speech(RATE))
    flushing = asyncio.create_task(session.flush())
    await until(lambda: session._utterance._flushing)
    await steps()
    await session.cancel()
    with pytest.raises(SessionEnded, match="cancelled"):
        await asyncio.wait_for(flushing, GUARD_S)


async def test_a_look_ahead_beyond_the_backlog_blocks_nobody():
    maker, _ = client()
    session = maker.live(sample_rate=RATE, look_ahead=5.0, backlog=1.0)
    check(await asyncio.wait_for(speak(session, speech(12 * RATE), 1_600), GUARD_S), 360)


async def test_frames_keep_no_more_than_themselves_in_memory():
    maker, _ = client()
    session = maker.live(sample_rate=RATE)
    frames = await speak(session, speech(20 * RATE), 1_600)
    arrays = {id(owner): owner for frame in frames if (owner := frame.weights.base) is not None}
    assert sum(array.nbytes for array in arrays.values()) <= 1.1 * sum(frame.weights.nbytes for frame in frames)


async def test_a_client_that_closes_ends_its_sessions():
    maker, transport = client(Gate())
    session = maker.live(sample_rate=RATE)
    await session.feed(speech(RATE))
    listening = asyncio.create_task(session.receive())
    await until(lambda: transport.flying)
    await asyncio.wait_for(maker.close(), GUARD_S)
    assert await asyncio.wait_for(listening, GUARD_S) == []
    with pytest.raises(SessionEnded):
        await session.push(speech(1))
    with pytest.raises(ClientClosed):
        maker.live(sample_rate=RATE)
    assert transport.closed


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"hop": 0}, errors.InvalidWindow, "hop is 0; accepted: 0.0167..1"),
        ({"hop": 1.1}, errors.InvalidWindow, "hop is 1.1"),
        ({"hop": math.nan}, errors.InvalidWindow, "hop is nan"),
        ({"backlog": 0.5}, errors.InvalidOption, "backlog is 0.5; accepted: 1..600"),
        ({"min_fps": 31}, errors.InvalidOption, "min_fps is 31; accepted: 1..30"),
        ({"min_fps": True}, errors.InvalidOption, "min_fps is True"),
        ({"min_fps": 15, "audio": True}, errors.InvalidOption, "min_fps is 15, and audio is asked for; accepted"),
        ({"audio": 1}, errors.InvalidOption, "audio is 1; accepted: true, false"),
        ({"timeout_s": 0}, errors.InvalidOption, "timeout_s is 0"),
        ({"context": -1}, errors.InvalidWindow, "context is -1; accepted: 0..166"),
        ({"context": 1e308}, errors.InvalidWindow, "context is 1e.308"),
        ({"look_ahead": math.inf}, errors.InvalidWindow, "look_ahead is inf"),
        ({"look_ahead": "0"}, errors.InvalidWindow, "look_ahead is '0'"),
        ({"look_ahead": 100, "context": 100}, errors.InvalidWindow, "more than one request carries"),
        ({"level": 2}, errors.LevelOutOfRange, "level is 2"),
        ({"sample_rate": 0}, InvalidAudio, "sample_rate is 0"),
        ({"sample_rate": 44_100.0}, InvalidAudio, "sample_rate is 44100.0"),
    ],
)
async def test_mistakes_are_found_when_a_session_is_made(options, kind, words):
    maker, _ = client()
    with pytest.raises(kind, match=words):
        maker.live(**{"sample_rate": RATE, **options})


def test_the_options_are_the_settings():
    assert list(LiveOptions.__annotations__) == [field.name for field in fields(LiveSettings)]


def test_the_twins_have_the_same_methods_and_arguments():
    def public(cls):
        return {name: value for name, value in vars(cls).items() if not name.startswith("_")}

    twins = public(AsyncLiveSession), public(LiveSession)
    assert set(twins[0]) == set(twins[1])
    for name, method in twins[0].items():
        if isinstance(method, property):
            assert isinstance(twins[1][name], property)
        else:
            one, other = inspect.signature(method), inspect.signature(twins[1][name])
            assert [str(parameter).replace("AsyncIterable", "Iterable") for parameter in one.parameters.values()] == [
                str(parameter) for parameter in other.parameters.values()
            ]
            assert one.return_annotation == other.return_annotation or inspect.isasyncgenfunction(method)
    assert "receive" in twins[0]


def test_the_sync_twin_gives_the_same_from_several_threads():
    transport = FakeTransport(lambda number: 0.001, PARAMETERS)
    clip = speech(3 * RATE)
    with EmoTalkClient(transport=transport) as maker, maker.live(sample_rate=RATE) as session:
        frames = []
        for start in range(0, len(clip), 1_600):
            frames += session.push(clip[start : start + 1_600])
        check(frames + session.flush(), 90)
        assert session.status.frames == 90
        assert len(session.push(clip)) + len(session.flush(fade_s=0.3)) == 99
        assert session.status.utterance == 2
        session.feed(clip)
        assert session.receive()[0].index == 0
        assert session.cancel().utterance == session.status.utterance == 3
        session.feed(clip)
        assert session.begun() == 4


async def test_the_sync_twin_has_a_speaker_and_a_listener():
    def listen(session):
        frames = []
        while more := session.receive():
            frames += more
        return frames

    with EmoTalkClient(transport=FakeTransport()) as maker, maker.live(sample_rate=RATE) as session:
        listening = asyncio.create_task(asyncio.to_thread(listen, session))
        for _ in range(20):
            await asyncio.to_thread(session.feed, speech(1_600))
        await asyncio.to_thread(session.finish)
        check(await asyncio.wait_for(listening, GUARD_S), 60)


async def test_a_sync_client_that_closes_ends_its_sessions():
    transport = FakeTransport(lambda number: 10 * GUARD_S)
    maker = EmoTalkClient(transport=transport)
    session = maker.live(sample_rate=RATE)
    session.feed(speech(RATE))
    listening = asyncio.create_task(asyncio.to_thread(session.receive))
    await until(lambda: transport.flying)
    await asyncio.to_thread(maker.close)
    assert await asyncio.wait_for(listening, GUARD_S) == []
    with pytest.raises(ClientClosed):
        session.push(speech(1))
    session.close()  # as leaving a `with` block does
    assert session.status.frames == 0


async def test_a_speaker_who_never_waits_does_not_keep_windows_from_leaving():
    maker, transport = client()
    session = maker.live(sample_rate=RATE)
    for _ in range(60):
        await session.feed(speech(1_600))
    assert len(transport.sent) > 10
    await session.close()
