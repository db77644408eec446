"""The mel spectrogram of the renderers, judged by librosa."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emotalk_avatar.renderers.mel import Padding, mel, windows
from emotalk_contract import renderers as facts

pytestmark = pytest.mark.unit

VOICE = Path(__file__).parents[2] / "docs" / "demo" / "voice.flac"
ALLOWED = 1e-5


def judged(samples: NDArray[np.float64], padding: Padding) -> NDArray[np.float64]:
    librosa = pytest.importorskip("librosa")  # not on Python 3.12
    from scipy.signal import lfilter

    emphasised = lfilter([1, -facts.PRE_EMPHASIS], [1], samples)
    mode = {"reflect": "reflect", "zeros": "constant"}[padding]
    magnitude = np.abs(librosa.stft(y=emphasised, n_fft=800, hop_length=200, win_length=800, pad_mode=mode))
    bands = librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600, dtype=np.float64)
    decibels = 20 * np.log10(np.maximum(1e-5, bands @ magnitude)) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_a_voice_is_heard_as_librosa_hears_it(padding: Padding) -> None:
    samples, rate = soundfile.read(VOICE)
    assert rate == 16_000
    expected = judged(samples, padding)
    found = mel(samples, padding)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= ALLOWED


@pytest.mark.filterwarnings("ignore:n_fft=800 is too large")
@pytest.mark.parametrize("samples", [401, 799, 800, 801, 16_000, 16_001])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_noise_of_any_length(samples: int, padding: Padding) -> None:
    noise = np.random.default_rng(samples).uniform(-1, 1, samples)
    assert np.abs(mel(noise, padding) - judged(noise, padding)).max() <= ALLOWED


def test_the_two_paddings_differ_at_the_ends_only() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 16_000)
    apart = np.abs(mel(noise, "reflect") - mel(noise, "zeros")).max(0)
    assert apart[[0, -1]].min() > 0.01
    assert apart[2:-2].max() == 0


def test_long_sound_is_computed_in_blocks_that_do_not_show() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 200 * 2_500)
    whole = mel(noise)
    seam = slice(200 * 2_040 - 8_000, 200 * 2_056 + 8_000)
    alone = mel(noise[seam])
    assert np.array_equal(alone[:, 40:-40], whole[:, 2_040:][:, : alone.shape[1] - 80])


def test_the_sound_is_left_as_it_was() -> None:
    samples = np.ones(1_000, np.float64)
    mel(samples)
    assert (samples == 1).all()


@pytest.mark.parametrize("samples", [0, 1, 200, 400])
def test_hardly_any_sound(samples: int) -> None:
    found = windows(mel(np.zeros(samples)), 3)
    assert found.shape == (3, 1, 80, 16)
    assert (found == -facts.MEL_LIMIT).all()


@given(columns=st.integers(1, 200), frames=st.integers(0, 60), fps=st.sampled_from([24.0, 25.0, 29.97, 30.0, 60.0]))
@settings(deadline=None, max_examples=50)
def test_windows_begin_by_time_and_end_with_the_sound(columns: int, frames: int, fps: float) -> None:
    spectrogram = np.tile(np.arange(columns, dtype=np.float32), (80, 1))
    found = windows(spectrogram, frames, fps)
    assert found.shape == (frames, 1, 80, 16)
    for i, window in enumerate(found):
        begin = min(int(80 * i / fps), max(0, columns - 16))
        there = min(16, columns)
        assert window[0, 0, :there].tolist() == list(range(begin, begin + there))


def test_windows_of_a_part_are_those_of_the_whole() -> None:
    spectrogram = mel(np.random.default_rng(0).uniform(-1, 1, 16_000))
    assert np.array_equal(windows(spectrogram, 25)[7:12], windows(spectrogram, 5, first=7))
