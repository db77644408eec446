from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_contract import timing
from emotalk_contract.limits import MIN_SAMPLES
from emotalk_contract.timing import Window, borrowed_emotion, frame_grid

pytestmark = pytest.mark.unit

samples = st.integers(MIN_SAMPLES, 60 * timing.SAMPLE_RATE)


def align_corners(source, target):
    """Source index of each of ``target`` steps, both ends aligned, in exact arithmetic."""
    ratio = Fraction(source - 1, target - 1) if target > 1 else Fraction(0)
    return np.array([float(i * ratio) for i in range(target)])


def test_rates_are_wav2vecs_and_the_grid_is_a_tenth_of_a_second():
    assert (timing.FEATURE_HOP, timing.FEATURE_SPAN) == (320, 400)
    assert (timing.GRID_SAMPLES, timing.GRID_FRAMES, timing.GRID_FEATURES) == (1600, 3, 5)


@given(samples)
def test_frame_count_is_the_exact_ceiling(n):
    assert timing.frame_count(n) == ceil(Fraction(n * 30, 16000))


@pytest.mark.parametrize("n", [132_800, 257_600, 265_600, 515_200, 523_200, 531_200, 539_200])
def test_no_phantom_frame_where_floats_give_one(n):
    assert timing.frame_count(n) == n * 30 // 16000
    assert ceil(n / 16000 * 30) == timing.frame_count(n) + 1  # what floats give


@pytest.mark.parametrize(("n", "features"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49)])
def test_feature_count(n, features):
    assert timing.feature_count(n) == features


def test_emotion_steps_are_truncated_as_the_authors_do():
    assert timing.emotion_frame_count(205) == 122  # exact arithmetic would give 123
    assert timing.emotion_frame_count(2) == 1


@pytest.mark.parametrize("n", [720, 721, 1039, 1040, 3200, 16_000, 132_800, 400_000])
def test_whole_clip_positions_are_align_corners(n):
    positions = frame_grid(Window.whole(n))
    features, frames = timing.feature_count(n), timing.frame_count(n)
    steps = timing.emotion_frame_count(features)
    np.testing.assert_allclose(positions.content, align_corners(features, frames), rtol=3e-7)
    np.testing.assert_allclose(positions.emotion, align_corners(features, steps), rtol=3e-7)
    np.testing.assert_allclose(positions.emotion_frame, align_corners(steps, frames), rtol=3e-7)


@given(samples, st.data())
def test_a_window_looks_where_its_clip_looks(clip, data):
    whole = frame_grid(Window.whole(clip))
    start = data.draw(st.integers(0, (clip - MIN_SAMPLES) // timing.GRID_SAMPLES)) * timing.GRID_FRAMES
    begin = timing.frame_to_sample(start)
    length = data.draw(st.integers(MIN_SAMPLES, clip - begin))
    window = Window(length, start, clip)
    part = frame_grid(window)
    first_feature = begin // timing.FEATURE_HOP
    assert window.frames == min(timing.frame_count(begin + length), timing.frame_count(clip)) - start
    last = timing.feature_count(length) - 1

    def local(positions):
        return np.clip(positions - first_feature, 0, last)

    rows = slice(start, start + window.frames)
    np.testing.assert_allclose(part.content, local(whole.content[rows].astype(float)), atol=1e-3)
    # Through both emotion resamplings, a frame ends up at the same feature as in the whole clip.
    through = np.interp(part.emotion_frame, np.arange(len(part.emotion)), part.emotion)
    wanted = np.interp(whole.emotion_frame, np.arange(len(whole.emotion)), whole.emotion)[rows]
    # A step outside the window is clamped to its edge, so frames beside the edge may move by up to one step.
    inner = (wanted - first_feature >= 2) & (wanted - first_feature <= last - 2)
    np.testing.assert_allclose(through[inner], (wanted - first_feature)[inner], atol=1e-3)
    assert part.emotion_frame.min() >= 0
    assert part.emotion_frame.max() <= len(part.emotion) - 1


def test_a_live_window_has_the_uniform_grid_wherever_it_starts():
    early, late = (frame_grid(Window(16_000, start)) for start in (0, 300_000))
    np.testing.assert_array_equal(early.content, late.content)
    np.testing.assert_allclose(early.content[:10], np.arange(10) * 5 / 3, rtol=1e-6)
    np.testing.assert_array_equal(early.content, frame_grid(Window.whole(16_000), "uniform").content)


def test_borrowed_emotion_spans_the_whole_of_the_other_clip():
    window, other = Window.whole(32_000), 48_000
    positions = borrowed_emotion(window, other, 100, "align_corners")
    features = timing.feature_count(other)
    assert positions.emotion[0] == 100
    assert positions.emotion[-1] == pytest.approx(100 + features - 1)
    assert (positions.emotion_frame[0], positions.emotion_frame[-1]) == (0, len(positions.emotion) - 1)
    np.testing.assert_array_equal(positions.content, frame_grid(window).content)


def test_a_frame_off_the_grid_has_no_sample():
    with pytest.raises(ValueError, match="frame 4 "):
        timing.frame_to_sample(4)


def test_timecodes_are_absolute_frames_over_thirty():
    np.testing.assert_array_equal(timing.timecodes(7, 3), np.array([7 / 30, 8 / 30, 9 / 30]))
