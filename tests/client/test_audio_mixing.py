"""Channels that cancel: one is used, and that is said; others are averaged as ever."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.audio.loading import load
from emotalk_client.audio.mixing import Mixer
from emotalk_client.live.audio import SpokenAudio

pytestmark = pytest.mark.unit

RATE = 16_000


def speech(samples, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.normal(0, 0.1, samples) * (1 + np.sin(np.arange(samples) / 3_000))).astype(np.float32)


def stereo(left, right):
    return np.stack([left, right], axis=1)


VOICE = speech(3 * RATE)


def spoken(block):
    audio = SpokenAudio(RATE)
    for start in range(0, len(block), 320):
        audio.push(audio.checked(block[start : start + 320]))
    audio.flush()
    return audio.tail.part(0, audio.tail.end)


def filed(block):
    return load(block, RATE)


@pytest.mark.parametrize("form", [filed, spoken])
@pytest.mark.parametrize(
    "right",
    [
        -VOICE,
        -0.9 * VOICE,
        -VOICE + 0.003,
        -VOICE + 0.1 * speech(len(VOICE), 5),
    ],
    ids=["opposite", "a little softer", "with an offset", "with a little of something else"],
)
def test_channels_that_cancel_give_the_strongest(form, right, caplog):
    heard = form(stereo(VOICE, right.astype(np.float32)))
    assert abs(np.corrcoef(heard, VOICE)[0, 1]) > 0.99
    assert heard.std() == pytest.approx(VOICE.std(), rel=0.02)
    assert caplog.text.count("cancel each other; channel") == 1


@pytest.mark.parametrize("form", [filed, spoken])
@pytest.mark.parametrize(
    "right",
    [VOICE, 0 * VOICE, speech(len(VOICE), 7), -0.4 * VOICE, 0.1 * speech(len(VOICE), 8)],
    ids=["the same", "silence", "another voice", "a crossed microphone", "a distant voice"],
)
def test_others_are_averaged_to_the_bit(form, right, caplog):
    both = stereo(VOICE, right.astype(np.float32))
    np.testing.assert_array_equal(form(both), both.mean(axis=1))
    assert not caplog.text


def test_one_microphone_of_many_is_not_cancelled():
    clip = np.zeros((RATE, 8), np.float32)
    clip[:, 3] = VOICE[:RATE]
    np.testing.assert_array_equal(load(clip, RATE), clip.mean(axis=1))


def test_silence_cancels_nothing(caplog):
    load(np.zeros((RATE, 2), np.float32), RATE)
    load(stereo(np.full(RATE, 1e-5, np.float32), np.full(RATE, -1e-5, np.float32)), RATE)
    assert not caplog.text


@given(st.lists(st.integers(0, 5_000), max_size=12), st.sampled_from([1, 250]), st.sampled_from([-1.0, 0.5]))
@settings(max_examples=40, deadline=None)
def test_how_it_is_cut_never_shows(sizes, held, factor):
    both = stereo(VOICE, factor * np.roll(VOICE, RATE))
    both[RATE : 2 * RATE, 1] = -both[RATE : 2 * RATE, 0]
    whole = Mixer(RATE, held)
    expected = np.concatenate([whole.push(both), whole.flush()])
    mixer, out, place = Mixer(RATE, held), [], 0
    for size in (*sizes, len(both)):
        out.append(mixer.push(both[place : place + size]))
        place += size
    np.testing.assert_array_equal(np.concatenate([*out, mixer.flush()]), expected)
    assert len(expected) == len(both)


def test_a_stream_may_change_its_channels():
    mixer = Mixer(RATE, held=1)
    pieces = [VOICE[:100], stereo(VOICE[100:150], VOICE[100:150]), VOICE[150:900], stereo(VOICE[900:], VOICE[900:])]
    heard = np.concatenate([*(mixer.push(piece) for piece in pieces), mixer.flush()])
    np.testing.assert_allclose(heard, VOICE, atol=1e-7)
