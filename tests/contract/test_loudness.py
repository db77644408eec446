"""Levelling: ordinary speech is left as it is, quiet speech is raised, what rests stays at rest."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_contract.loudness import (
    HELD_HOPS,
    HOP,
    LEAST_OFFSET,
    LEAST_SPEECH,
    MOST_GAIN,
    MOST_PEAK,
    Leveller,
    levelled,
)

pytestmark = pytest.mark.unit

RATE = 16_000
VOICE = soundfile.read(Path(__file__).parents[2] / "docs" / "demo" / "voice.flac", dtype="float32")[0]


def decibels(factor):
    return np.float32(10 ** (factor / 20))


def noise(seconds, level, seed=0):
    return (np.random.default_rng(seed).normal(0, 1, round(seconds * RATE)) * decibels(level)).astype(np.float32)


def live(audio):
    leveller = Leveller(held=1)
    return np.concatenate([leveller.push(audio), leveller.flush()])


def loudest(audio):
    """Mean square of the loudest 100 ms."""
    return np.square(audio[: len(audio) // 1600 * 1600].reshape(-1, 1600)).mean(axis=1).max()


@pytest.mark.parametrize("form", [levelled, live])
@pytest.mark.parametrize("level", [12, 0, -6, -12])
def test_ordinary_speech_is_left_as_it_is(form, level):
    clip = VOICE * decibels(level)
    np.testing.assert_array_equal(form(clip), clip)


@pytest.mark.parametrize("level", [-25, -30, -35, -40, -45])
def test_quiet_speech_is_raised_by_one_factor(level):
    clip = VOICE * decibels(level)
    raised = levelled(clip)
    assert LEAST_SPEECH / 2 < loudest(raised) < 4 * LEAST_SPEECH
    gain = raised[np.abs(clip) > 1e-3 * decibels(level)] / clip[np.abs(clip) > 1e-3 * decibels(level)]
    assert gain[: 4 * RATE].min() == pytest.approx(gain[: 4 * RATE].max(), rel=0.4)  # no pumping
    assert gain.max() <= MOST_GAIN * 1.001


@pytest.mark.parametrize("level", [-25, -30, -35])
def test_a_live_stream_settles_in_the_first_half_second_of_speech(level):
    spoken = int(np.flatnonzero(np.abs(VOICE) > 0.02)[0])
    settled = spoken + RATE // 2
    clip = VOICE * decibels(level)
    at = slice(settled, settled + 2 * RATE)
    assert loudest(live(clip)[at]) == pytest.approx(loudest(levelled(clip)[at]), rel=0.6)


@pytest.mark.parametrize("form", [levelled, live])
@pytest.mark.parametrize("level", [-20, -40, -50, -60, -70])
@pytest.mark.parametrize("colour", ["white", "pink", "rumble", "hum"])
def test_steady_noise_is_not_raised(form, level, colour):
    clip = noise(8, 0)
    spectrum = np.fft.rfft(clip)
    if colour == "pink":
        clip = np.fft.irfft(spectrum / np.maximum(1, np.arange(len(spectrum))) ** 0.5)
    elif colour == "rumble":
        clip = np.fft.irfft(spectrum / np.maximum(200, np.arange(len(spectrum))))
    elif colour == "hum":
        clip = np.sin(2 * np.pi * 50 * np.arange(len(clip)) / RATE) + 0.05 * clip
    clip = (clip / clip.std() * decibels(level)).astype(np.float32)
    assert loudest(form(clip)) < 1.6 * loudest(clip)


@pytest.mark.parametrize("form", [levelled, live])
@pytest.mark.parametrize("offset", [3e-4, 0.001, -0.005, 0.01, 0.02, -0.05, 0.5])
def test_an_offset_is_taken_away(form, offset):
    silence = np.full(3 * RATE, offset, np.float32)
    assert np.abs(form(silence)).max() < 2 * LEAST_OFFSET
    hiss = noise(3, -65)
    assert np.abs(form(silence + hiss)[HOP:]).max() < 6 * decibels(-65)
    spoken = form((VOICE + np.float32(offset)).astype(np.float32))
    assert np.abs(spoken - VOICE)[2 * RATE :].max() < 4e-4


def test_an_offset_that_comes_later_is_taken_away_too():
    clip = np.concatenate([noise(6, -65), noise(6, -65, 1) + np.float32(0.02)])
    assert abs(levelled(clip)[9 * RATE :].mean()) < 1e-3


def test_a_shout_after_a_whisper_does_not_overload():
    clip = np.concatenate([VOICE * decibels(-40), VOICE])
    for form in (levelled, live):
        out = form(clip)
        assert np.abs(out).max() <= max(np.abs(VOICE).max(), MOST_PEAK) * 1.001
        np.testing.assert_array_equal(out[len(VOICE) + 2 * RATE :], VOICE[2 * RATE :])


@given(
    st.sampled_from([-40, 0]),
    st.sampled_from([0.0, 0.01]),
    st.sampled_from([1, HELD_HOPS]),
    st.lists(st.integers(0, 30_000), max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_how_it_is_cut_never_shows(level, offset, held, sizes):
    clip = (VOICE * decibels(level) + np.float32(offset)).astype(np.float32)
    whole = Leveller(held)
    expected = np.concatenate([whole.push(clip), whole.flush()])
    leveller, out, place = Leveller(held), [], 0
    for size in (*sizes, len(clip)):
        out.append(leveller.push(clip[place : place + size]))
        place += size
    out.append(leveller.flush())
    np.testing.assert_array_equal(np.concatenate(out), expected)
    assert len(expected) == len(clip)


@pytest.mark.parametrize("samples", [0, 1, 79, 80, 319, 320, 321, 720, HOP * HELD_HOPS, HOP * HELD_HOPS + 1])
@pytest.mark.parametrize("held", [1, HELD_HOPS])
def test_any_length(samples, held):
    leveller = Leveller(held)
    clip = VOICE[:samples] * decibels(-40) + np.float32(0.01)
    assert len(np.concatenate([leveller.push(clip), leveller.flush()])) == samples


def test_a_live_stream_waits_for_its_first_hop_alone():
    leveller = Leveller(held=1)
    assert len(leveller.push(VOICE[: HOP - 1])) == 0
    assert len(leveller.push(VOICE[HOP - 1 : HOP])) == HOP
    assert len(leveller.push(VOICE[HOP : HOP + 1])) == 1
