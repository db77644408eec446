"""The emotion that was heard: out of an answer, over windows, and through the client's own paths, without a server."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from fake import FakeTransport
from hypothesis import given
from hypothesis import strategies as st

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import UnexpectedResponse
from emotalk_client.faces.animation import Animation
from emotalk_client.windows.detected import ClipEmotions, emotions_in
from emotalk_contract.recipe import Recipe

pytestmark = pytest.mark.unit

NAMES = ("calm", "joy", "anger")
DETECTING = Recipe(context_before_s=0.6, look_ahead_s=0.3, detected_emotions=NAMES).strings() | {"model": "a fake"}


class Hearing(FakeTransport):
    """Hears more joy, the later a window starts."""

    def _face(self, start, frames):
        joy = start / (start + 100)
        return super()._face(start, frames) | {"EMOTIONS": np.array([[1 - joy, joy, 0]], np.float32)}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "missing"),
        ([[0.5, 0.5]], "shape"),
        ([[0.5, float("nan"), 0.5]], "probabilities"),
        ([[0.5, 0.7, -0.2]], "probabilities"),
        ([[0.5, 0.5, 0.5]], "probabilities"),
    ],
)
def test_what_cannot_be_an_emotion(found, said):
    outputs = {} if found is None else {"EMOTIONS": np.array(found, np.float32)}
    with pytest.raises(UnexpectedResponse, match=said):
        emotions_in(outputs, NAMES)


def test_a_model_without_any_is_not_asked():
    assert emotions_in({"EMOTIONS": "whatever"}, ()) is None


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1)), max_size=20))
def test_a_clip_s_is_the_mean_over_its_frames(parts):
    clip = ClipEmotions()
    for frames, joy in parts:
        clip.push({"calm": 1 - joy, "joy": joy}, frames)
    heard = np.repeat([joy for _, joy in parts], [frames for frames, _ in parts])
    if not len(heard):
        assert clip.value is None
    else:
        assert clip.value["joy"] == pytest.approx(heard.mean())
        assert sum(clip.value.values()) == pytest.approx(1)


def test_a_clip_without_stays_without():
    clip = ClipEmotions()
    clip.push(None, 30)
    assert clip.value is None


def test_windows_and_the_clip():
    audio = np.zeros(16_000 * 7, np.float32)

    async def run():
        async with AsyncEmoTalkClient(transport=Hearing(parameters=DETECTING)) as client:
            options = {"sample_rate": 16_000, "window": 2.0}
            return await client.animate(audio, **options), [b async for b in client.stream_blocks(audio, **options)]

    whole, blocks = asyncio.run(run())
    joys = [block.emotions["joy"] for block in blocks]
    assert len(joys) > 2
    assert joys == sorted(joys)
    assert joys[0] == 0
    assert whole.emotions["joy"] == pytest.approx(np.average(joys, weights=[len(block) for block in blocks]))


def test_an_answer_without_it_is_an_error():
    async def run():
        async with AsyncEmoTalkClient(transport=FakeTransport(parameters=DETECTING)) as client:
            await client.animate(np.zeros(16_000, np.float32), sample_rate=16_000)

    with pytest.raises(UnexpectedResponse, match="EMOTIONS is missing"):
        asyncio.run(run())


def test_a_face_keeps_it_at_another_rate(tmp_path):
    face = Animation(np.zeros((30, 52), np.float32), np.arange(30) / 30, emotions={"joy": 1.0})
    assert face.resampled(24).emotions == {"joy": 1.0}
    assert face.even().emotions == {"joy": 1.0}
    face.save(tmp_path / "face.npy")
    assert Animation.load(tmp_path / "face.npy").emotions is None


def test_a_live_stream_tells_what_it_heard_last():
    async def run():
        async with (
            AsyncEmoTalkClient(transport=Hearing(parameters=DETECTING)) as client,
            client.live(sample_rate=16_000) as session,
        ):
            before = session.status.emotions
            for _ in range(40):
                await session.push(np.zeros(1_600, np.float32))
            await session.flush()
            return before, session.status.emotions

    before, after = asyncio.run(run())
    assert before is None
    assert list(after) == list(NAMES)
    assert after["joy"] > 0
