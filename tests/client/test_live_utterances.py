"""One session, many utterances, whatever is said in whatever order: each is whole or cut off, and heard alone."""

import asyncio
import math

import numpy as np
import pytest
from fake import PARAMETERS, STREAMING, client
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import GUARD_S, virtual

pytestmark = pytest.mark.unit

RATE = 22_050
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(0, 2 * RATE)),
        st.tuples(st.just("feed"), st.integers(1, 700)),
        st.tuples(st.just("finish"), st.sampled_from([0.0, 0.1, 0.3])),
        st.tuples(st.just("cancel"), st.sampled_from([0.0, 0.3])),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.005, 0.1])),
        st.tuples(st.just("flush"), st.sampled_from([0.0, 0.2])),
    ),
    max_size=25,
)


class Spoken:
    """What was said to an utterance, and what came of it."""

    def __init__(self):
        self.sound, self.frames, self.fade, self.over = [], [], 0, False


async def converse(session, acts):
    """Do ``acts`` in one task, and listen in another; what became of each utterance, by number."""
    found = {}

    async def listen():
        while True:
            number = await session.begun()
            while frames := await session.receive():
                found.setdefault(number, Spoken()).frames += frames

    listening = asyncio.create_task(listen())
    number = 1
    for act, value in acts:
        spoken = found.setdefault(number, Spoken())
        if act == "feed":
            part = np.random.default_rng(len(spoken.sound)).integers(-9_000, 9_000, value).astype(np.int16)
            spoken.sound.append(part)
            await session.feed(part)
            assert session.status.utterance == number
        elif act == "wait":
            await asyncio.sleep(value)
        elif act == "cancel":
            answer = await session.cancel(value)
            assert answer.kept >= 0
            assert len(answer.fade) in (0, math.ceil(30 * value))
            number = session.status.utterance + 1
        else:
            if act == "flush":
                spoken.frames += await session.flush(value)  # those that the listener has not received
            else:
                await session.finish(value)
            spoken.over, spoken.fade = True, math.ceil(30 * value)
            number += 1
            for _ in range(100 if act == "finish" else 0):  # until the listener has heard its end
                if session.status.utterance != number - 1 or session._utterance.ended is not None:
                    break
                await asyncio.sleep(0.1)
            else:
                assert act == "flush", listening
    await session.close()
    await asyncio.gather(listening, return_exceptions=True)
    return found


@settings(max_examples=120, deadline=None)
@given(acts=ACTS, way=st.sampled_from([PARAMETERS, STREAMING]), slow=st.booleans())
def test_whatever_is_said_in_whatever_order_each_utterance_is_whole_or_cut_off(acts, way, slow):
    found = {}

    @virtual
    async def run():
        maker, transport = client(lambda number: 0.02 * (number % 3) if slow else None, parameters=way)
        transport._hear = lambda *_: None  # of one utterance only; tests of steps look at it
        session = maker.live(sample_rate=RATE, audio=True)
        found.update(await asyncio.wait_for(converse(session, acts), GUARD_S))

    run()
    for spoken in found.values():
        frames = sorted(spoken.frames, key=lambda frame: frame.index)
        assert [frame.index for frame in frames] == list(range(len(frames)))
        sound = np.concatenate([np.zeros(0, np.int16), *spoken.sound])
        heard = np.frombuffer(b"".join(frame.audio for frame in frames), "<i2")
        if spoken.over:
            total = math.ceil(30 * math.ceil(len(sound) * 16_000 / RATE) / 16_000)
            assert len(frames) == total + (spoken.fade if total else 0)
            np.testing.assert_array_equal(heard[: len(sound)], sound)
            assert not heard[len(sound) :].any()
        else:
            np.testing.assert_array_equal(heard, sound[: len(heard)])
