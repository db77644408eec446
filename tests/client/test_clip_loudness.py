"""A recipe's ``levelled`` and a clip; a face that never moved is warned of."""

from pathlib import Path

import numpy as np
import pytest
from fake import FakeTransport

from emotalk_client import AsyncEmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_client.windows.stillness import MOVED, Stillness
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.loudness import Leveller, levelled
from emotalk_contract.recipe import Recipe

pytestmark = pytest.mark.unit

RATE = 16_000
VOICE = load(Path(__file__).parents[2] / "docs" / "demo" / "voice.flac")
QUIET = VOICE * np.float32(0.03) + np.float32(0.01)
PLAIN = Recipe(normalisation="none", frame_grid="uniform", window_s=3.0, context_before_s=0.5, look_ahead_s=0.1)
LEVELLED = Recipe(**{name: getattr(PLAIN, name) for name in PLAIN.__dataclass_fields__} | {"levelled": True})


def client(recipe):
    transport = FakeTransport(parameters=recipe.strings() | {"model": "a fake"})
    return AsyncEmoTalkClient(transport=transport), transport


def heard(transport):
    """The clip as the server got it, put together from the windows."""
    sent = [(int(inputs["START_FRAME"][0, 0]) // 3 * 1600, inputs["AUDIO"][0]) for inputs, _ in transport.sent]
    whole = np.zeros(max(start + len(audio) for start, audio in sent), np.float32)
    for start, audio in sent:
        whole[start : start + len(audio)] = audio
    return whole


async def test_windows_are_cut_from_the_levelled_clip():
    maker, transport = client(LEVELLED)
    await maker.animate(QUIET, sample_rate=RATE)
    assert len(transport.sent) > 3
    np.testing.assert_array_equal(heard(transport), levelled(QUIET))


async def test_without_it_a_clip_is_sent_as_it_is():
    maker, transport = client(PLAIN)
    await maker.animate(QUIET, sample_rate=RATE)
    np.testing.assert_array_equal(heard(transport), QUIET)


@pytest.mark.parametrize("size", [160, 533, 4_800])
async def test_a_live_stream_is_levelled_as_it_comes(size):
    maker, transport = client(LEVELLED)
    async with maker.live(sample_rate=RATE) as session:
        for start in range(0, len(QUIET), size):
            await session.push(QUIET[start : start + size])
        await session.flush()
    leveller = Leveller(held=1)
    expected = np.concatenate([leveller.push(QUIET), leveller.flush()])
    np.testing.assert_array_equal(heard(transport)[: len(QUIET)], expected)


def test_recipes_of_before_do_not_level():
    assert Recipe.from_strings(LEVELLED.strings()) == LEVELLED
    strings = PLAIN.strings()
    del strings["levelled"]
    assert Recipe.from_strings(strings) == PLAIN


class Still(FakeTransport):
    """A face of which only the eyes move."""

    async def infer(self, inputs, parameters, timeout_s, *model):
        outputs = await super().infer(inputs, parameters, timeout_s, *model)
        weights = np.full_like(outputs["BLENDSHAPES"], 0.01)
        weights[0, ::10, BLENDSHAPES.index("eyeBlinkLeft")] = 1.0
        return outputs | {"BLENDSHAPES": weights}


async def test_a_face_that_never_moved_is_said_once(caplog):
    maker = AsyncEmoTalkClient(transport=Still(parameters=PLAIN.strings() | {"model": "a fake"}))
    await maker.animate(np.full(2 * RATE, 0.02, np.float32), sample_rate=RATE)
    assert caplog.text.count("the mouth never moved in the 2.0 s of the array") == 1
    assert "0.0200 of full scale" in caplog.text
    caplog.clear()
    await maker.animate(np.zeros(RATE // 2, np.float32), sample_rate=RATE)  # too short to tell
    assert not caplog.text


def test_a_mouth_that_moved_is_not_still():
    stillness = Stillness()
    assert not stillness.still
    rest = np.full((5, 52), 0.3, np.float32)
    stillness.push(rest)
    stillness.push(rest[:0])
    assert stillness.still
    rest[2, BLENDSHAPES.index("jawOpen")] += 2 * MOVED
    stillness.push(rest)
    assert not stillness.still
