"""Other frame rates: as long as before, through the same faces, with no closure lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from emotalk_client import Animation
from emotalk_client.errors import InvalidRate
from emotalk_client.faces.resampling import LIDS, MOUTH, frame_total
from emotalk_contract.arkit import INDEX
from emotalk_contract.lips import gap_mm

pytestmark = pytest.mark.unit

RATES = (1, 10, 12, 15, 23.976, 24, 25, 29.97, 48, 50, 59.94, 60, 120, 240)
JAW = INDEX["jawOpen"]
BLINKS = (31, 62, 94, 121, 140)


def clip(frames=95, seed=0):
    weights = np.random.default_rng(seed).uniform(0, 1, (frames, 52)).astype(np.float32)
    return Animation(weights, np.arange(frames) / 30)


def talking(closures, frames=150):
    """A jaw that is open but for two frames at each of ``closures``, and lids that blink at BLINKS."""
    weights = np.zeros((frames, 52), np.float32)
    weights[:, JAW] = 0.4
    for first in closures:
        weights[first : first + 2, JAW] = [0.02, 0.0]
    for blink in BLINKS:
        weights[blink - 1 : blink + 2, LIDS] = [[0.5], [1.0], [0.5]]
    return Animation(weights, np.arange(frames) / 30)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("frames", [1, 2, 30, 95])
def test_the_clip_stays_as_long_and_begins_and_ends_as_it_did(fps, frames):
    face = clip(frames)
    other = face.resampled(fps)
    assert other.fps == fps
    assert len(other) == len(other.weights) == len(other.timecodes)
    assert 0 <= other.duration_s - face.duration_s < 1 / fps
    np.testing.assert_allclose(np.diff(other.timecodes), 1 / fps, rtol=1e-9)
    assert other.timecodes[0] == 0
    assert other.timecodes[-1] < face.duration_s <= other.timecodes[-1] + 1 / fps + 1e-6
    if fps > 30:
        np.testing.assert_array_equal(other.weights[0], face.weights[0])
        np.testing.assert_allclose(other.weights[-1], face.weights[-1], atol=1 / fps * 30)
    assert (other.weights >= 0).all()
    assert (other.weights <= 1).all()


def test_whole_multiples_keep_every_frame():
    face = clip()
    for times in (2, 4, 8):
        np.testing.assert_allclose(face.resampled(30 * times).weights[::times], face.weights, atol=1e-6)
    assert face.resampled(30) is face
    brows = slice(0, 5)  # what no closure moves
    np.testing.assert_allclose(face.resampled(60).resampled(30).weights[:, brows], face.weights[:, brows], atol=1e-6)


@pytest.mark.parametrize("fps", [31, 48, 60, 100])
def test_between_frames_lies_scipys_monotone_cubic(fps):
    face = clip()
    times = np.arange(frame_total(95, 30, fps)) * 30 / fps
    inner = (times >= 1) & (times <= 93)  # SciPy has another rule for the very ends
    expected = PchipInterpolator(np.arange(95), face.weights.astype(float))(times[inner])
    np.testing.assert_allclose(face.resampled(fps).weights[inner], expected, atol=1e-6)


@given(st.integers(2, 40), st.sampled_from(RATES), st.integers(0, 1000))
def test_no_curve_leaves_the_range_of_its_neighbours(frames, fps, seed):
    face = clip(frames, seed)
    other = face.resampled(fps)
    position = np.minimum(other.timecodes * 30, frames - 1)
    near = [np.arange(max(0, int(p - max(1, 15 / fps))), min(frames, int(p + max(1, 15 / fps)) + 2)) for p in position]
    for row, neighbours in zip(other.weights, near, strict=True):
        assert (row <= face.weights[neighbours].max(axis=0) + 1e-6).all()
        assert (row >= face.weights[neighbours].min(axis=0) - 1e-6).all()


@pytest.mark.parametrize("fps", [10, 12, 15, 24, 25])
@pytest.mark.parametrize("shift", range(5))
def test_lower_rates_lose_no_closure_and_no_blink(fps, shift):
    closures = [shift + first for first in (20, 47, 71, 98, 130)]
    face = talking(closures)
    other = face.resampled(fps)
    for first in closures:
        near = np.abs(other.timecodes - (first + 0.5) / 30) <= 1 / fps
        assert gap_mm(other.weights)[near].min() <= 0
        assert other.weights[near, JAW].min() <= 0.02
    for blink in BLINKS:
        near = np.abs(other.timecodes - blink / 30) <= 1 / fps
        assert other.weights[near, LIDS].max() >= 0.9


def test_a_kept_closure_is_a_whole_mouth_and_nothing_else():
    face = talking([40])
    face.weights[:, INDEX["browInnerUp"]] = np.linspace(0, 1, 150)
    other = face.resampled(10)
    frame = int(np.argmin(other.weights[:, JAW]))
    np.testing.assert_array_equal(other.weights[frame, MOUTH], face.weights[41, MOUTH])
    np.testing.assert_allclose(other.weights[:, INDEX["browInnerUp"]], np.linspace(0, 1, 150)[::3], atol=1e-6)


def test_a_clip_that_starts_later_still_does():
    late = Animation(clip(30).weights, 7 + np.arange(30) / 30)
    np.testing.assert_allclose(late.resampled(60).timecodes, 7 + np.arange(60) / 60)


@pytest.mark.parametrize("fps", [0, -30, 0.5, 241, float("nan"), float("inf"), "30", None, True])
def test_a_rate_that_is_none_has_its_own_error(fps, tmp_path):
    with pytest.raises(InvalidRate, match=r"accepted: 1\.\.240 frames a second"):
        clip().resampled(fps)
    if fps is not None:
        with pytest.raises(InvalidRate):
            clip().save(tmp_path / "face.npy", fps=fps)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(InvalidRate):
            Animation.load(tmp_path / "face.npy", fps=fps)
