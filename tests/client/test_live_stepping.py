"""Live streams by steps, on a fake transport: every frame once, in order, whatever becomes of the server's state."""

import asyncio

import numpy as np
import pytest
from fake import STREAMING, client
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import VirtualLoop, until, virtual

from emotalk_client import ModelMissing, ServerBusy, ServerUnavailable, UnexpectedResponse
from emotalk_client.live.stepping import KEPT_FRAMES
from emotalk_contract import live_steps, tensors
from emotalk_contract.errors import InvalidState, StaleState
from emotalk_contract.live_steps import StepReach
from emotalk_contract.timing import FPS, frame_count

pytestmark = pytest.mark.unit

RATE = 16_000
REACH = StepReach(520, 5, 2)


def speech(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def streaming(script=None, **options):
    return client(script, STREAMING, **options)


def indices(frames):
    return [frame.index for frame in frames]


def check(frames, total):
    assert indices(frames) == list(range(total))
    assert all(frame.weights[0] == frame.index and frame.timecode == frame.index / 30 for frame in frames)


async def speak(session, clip, sizes):
    """Push ``clip`` in blocks of ``sizes``, again and again, then flush; all frames."""
    frames, start, turn = [], 0, 0
    while start < len(clip):
        size = sizes[turn % len(sizes)]
        frames += await session.push(clip[start : start + size])
        start, turn = start + size, turn + 1
    return frames + await session.flush()


def run(work):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


CUTS = st.lists(st.integers(1, 4_000) | st.sampled_from([160, 320, 533, 1_600, 50_000]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(0, 60_000),
    cuts=CUTS,
    hop=st.integers(1, 8),
    prompt=st.sampled_from([None, True, False]),
    raw=st.booleans(),
)
def test_any_cut_of_the_pushes_gives_every_frame_once_and_the_server_the_same_sound(samples, cuts, hop, prompt, raw):
    maker, transport = streaming()
    clip = speech(samples)
    session = maker.live(sample_rate=RATE, hop=hop / FPS, prompt=prompt, raw=raw)
    check(run(speak(session, clip, cuts)), frame_count(samples))
    if samples:
        (heard,) = transport.heard.values()
        said = min(len(heard), samples)
        assert said >= samples - 320
        assert np.array_equal(heard[:said], clip[:said])
        assert not heard[said:].any()


@settings(max_examples=60, deadline=None)
@given(
    cuts=CUTS,
    failures=st.dictionaries(
        st.integers(0, 12),
        st.sampled_from([ServerBusy("full"), ServerUnavailable("gone"), StaleState("old"), InvalidState("cut")]),
        max_size=5,
    ),
    missing=st.none() | st.integers(0, 12),
)
def test_whatever_becomes_of_the_state_no_frame_is_lost_or_doubled(cuts, failures, missing):
    def script(number):
        if missing is not None and number >= missing and transport.models[-1] is tensors.LIVE:
            return ModelMissing("not here")
        failure = failures.get(number)
        if isinstance(failure, (StaleState, InvalidState)) and "STATE" not in transport.sent[-1][0]:
            return None  # a server refuses states only where there are some
        return failure

    maker, transport = streaming(script)
    check(run(speak(maker.live(sample_rate=RATE), speech(48_000), cuts)), 90)


async def test_a_frame_comes_as_soon_as_it_is_final():
    for hop, prompt in ((1, False), (2, False), (4, True)):
        maker, transport = streaming()
        session = maker.live(sample_rate=RATE, hop=hop / FPS, prompt=prompt)
        due = REACH.spoken(REACH.needed(live_steps.known_for(hop, smooth=True, prompt=prompt)))
        await session.push(speech(due - 1))
        assert transport.sent == []
        await session.push(speech(1))
        assert indices(await session.receive()) == list(range(hop if prompt else 3))  # smoothing's first comes with two
        await session.close()


async def test_of_an_hour_of_hops_each_carries_little_and_all_of_a_hop_alike():
    maker, transport = streaming()
    await speak(maker.live(sample_rate=RATE, hop=0.1), speech(60 * RATE), [160])
    lengths = [inputs["AUDIO"].shape[1] for inputs, _ in transport.sent]
    assert set(transport.models) == {tensors.LIVE}
    assert set(lengths[1:-1]) == {5 * 320 + 2 * 520 - 320}  # on the grid every hop is alike


async def test_a_late_step_carries_several_hops_and_the_backlog_is_caught_up():
    gate = asyncio.Event()
    maker, transport = streaming({1: gate})
    session = maker.live(sample_rate=RATE)
    talk = asyncio.create_task(speak(session, speech(10 * RATE), [1_600]))
    await until(lambda: session.status.backlog_s > 6)
    assert session.status.late
    gate.set()
    check(await talk, 300)
    assert len(transport.sent) < 2 + 300 / 2 / 8
    assert max(inputs["AUDIO"].shape[1] for inputs, *_ in transport.sent) <= 2.2 * RATE


@virtual
async def test_a_step_is_sent_again_with_the_same_state():
    maker, transport = streaming({4: ServerUnavailable("gone"), 5: ServerBusy("full")})
    check(await speak(maker.live(sample_rate=RATE), speech(RATE), [533]), 30)
    states = [inputs.get("STATE") for inputs, *_ in transport.sent]
    assert states[4] is states[5] is states[6]
    assert states[6] is not states[7]


async def test_other_weights_begin_again_from_sound_that_was_kept():
    maker, transport = streaming()
    session = maker.live(sample_rate=RATE)
    clip = speech(12 * RATE)
    frames = []
    for number, start in enumerate(range(0, len(clip), 1_600)):
        if number in (40, 80):
            transport.weights += 1
        frames += await session.push(clip[start : start + 1_600])
        await asyncio.sleep(0)
        assert (
            session._utterance._audio.tail.held <= (KEPT_FRAMES + 10) / FPS * RATE * 2
        )  # half of it may be let go of later
    check(frames + await session.flush(), 360)
    begun = sorted(transport.heard)
    assert len(begun) == 3
    for first in begun:
        assert first % 3 == 0
        start = first // 3 * 1_600
        heard = transport.heard[first]
        said = min(len(heard), len(clip) - start)
        assert np.array_equal(heard[:said], clip[start : start + said])


async def test_a_beginning_that_is_refused_is_an_error_and_not_tried_for_ever():
    maker, transport = streaming(lambda _: StaleState("always"))
    with pytest.raises(StaleState):
        await speak(maker.live(sample_rate=RATE), speech(RATE), [1_600])
    assert len(transport.sent) == 1


@pytest.mark.parametrize("options", [{"context": 1.0}, {"look_ahead": 0.2}, {"emotion_audio": speech(RATE)}])
async def test_what_a_step_cannot_do_goes_in_windows(options):
    maker, transport = streaming()
    if "emotion_audio" in options:
        options = options | {"emotion_sample_rate": RATE}
    check(await speak(maker.live(sample_rate=RATE, **options), speech(RATE), [1_600]), 30)
    assert set(transport.models) == {tensors.ENSEMBLE}


async def test_a_server_without_the_model_gets_windows():
    def script(_):
        return ModelMissing("not here") if transport.models[-1] is tensors.LIVE else None

    maker, transport = streaming(script)
    check(await speak(maker.live(sample_rate=RATE), speech(3 * RATE), [1_600]), 90)
    assert transport.models[0] is tensors.LIVE
    assert set(transport.models[1:]) == {tensors.ENSEMBLE}


async def test_while_the_server_starts_the_model_is_waited_for():
    ready = asyncio.Event()

    def script(number):
        return ModelMissing("not yet") if number == 0 else None

    maker, transport = streaming(script)

    async def not_ready(timeout_s):
        if not ready.is_set():
            ready.set()
            raise ServerUnavailable("starting")

    transport.ready = not_ready
    check(await speak(maker.live(sample_rate=RATE), speech(RATE), [1_600]), 30)
    assert set(transport.models) == {tensors.LIVE}


async def test_answers_that_cannot_be_right_end_the_session():
    for wrong in ("BLENDSHAPES", "TIMECODES"):
        maker, transport = streaming()
        right = transport._face

        def face(start, frames, wrong=wrong, right=right):
            found = right(start, frames)
            return found | {wrong: found[wrong] + (np.nan if wrong == "BLENDSHAPES" else 1)}

        transport._face = face
        with pytest.raises(UnexpectedResponse):
            await speak(maker.live(sample_rate=RATE), speech(RATE), [1_600])
