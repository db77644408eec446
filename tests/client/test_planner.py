"""Cutting and joining: every frame once, whatever the lengths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.errors import UnexpectedResponse
from emotalk_client.windows.planner import (
    MAX_WINDOW_S,
    Layout,
    PlannedWindow,
    Planner,
    balanced,
    grid_ceil,
    grid_floor,
    plan,
)
from emotalk_client.windows.stitcher import Stitcher
from emotalk_contract.errors import AudioTooShort, InvalidWindow
from emotalk_contract.limits import MAX_FRAMES, MIN_SAMPLES
from emotalk_contract.timing import SAMPLE_RATE, Window, frame_count

pytestmark = pytest.mark.unit

layouts = st.tuples(st.integers(1, 100), st.integers(0, 30), st.integers(0, 30)).filter(lambda t: t[1] + t[2] < t[0])


@given(st.integers(MIN_SAMPLES, 40 * SAMPLE_RATE), layouts)
@settings(max_examples=400)
def test_every_frame_counts_once_and_every_window_can_be_served(samples, steps):
    layout = Layout(*(3 * s for s in steps))
    frames = frame_count(samples)
    expected = 0
    for window in plan(samples, layout):
        assert window.first == expected  # in order, none missing, none twice
        assert window.start_frame % 3 == 0
        assert window.samples >= MIN_SAMPLES
        assert window.start_sample + window.samples <= samples
        served = Window(window.samples, window.start_frame, samples).frames
        assert served <= MAX_FRAMES
        assert 0 <= window.kept.start < window.kept.stop <= served
        if window.start_frame > 0:
            assert window.first - window.start_frame >= layout.before
        if window.end < frames:
            assert window.samples == balanced(samples, layout).window * 1600 // 3  # one length: Triton can batch
            assert served - window.kept.stop == layout.after
        expected = window.end
    assert expected == frames


@given(st.integers(MIN_SAMPLES, 20 * SAMPLE_RATE), layouts, st.randoms(use_true_random=False))
def test_answers_in_any_order_are_joined_in_the_clips(samples, steps, random):
    clip = np.arange(frame_count(samples), dtype=np.float32)
    windows = list(plan(samples, Layout(*(3 * s for s in steps))))
    random.shuffle(windows)
    stitcher, joined = Stitcher(), []
    for window in windows:
        served = Window(window.samples, window.start_frame, samples).frames
        answer = np.repeat(clip[window.start_frame : window.start_frame + served, None], 52, axis=1)
        for first, rows in stitcher.push(window, answer):
            assert rows[0, 0] == first
            joined.append(rows)
    stitcher.finish(len(clip))
    np.testing.assert_array_equal(np.concatenate(joined)[:, 0], clip)


def test_a_clip_that_fits_is_one_window():
    assert list(plan(400_000, Layout.of_seconds(25, 2, 1))) == [PlannedWindow(0, 400_000, 0, 750)]


@given(st.integers(MIN_SAMPLES, 40 * SAMPLE_RATE), layouts)
def test_no_window_is_a_short_rest(samples, steps):
    """As many windows as there have to be, of one length but for what the grid rounds up in each."""
    layout = Layout(*(3 * s for s in steps))
    windows = list(plan(samples, layout))
    planner = Planner(layout)
    assert len(windows) == len(planner.push(samples)) + 1
    *others, last = [window.samples for window in windows]
    assert all(other <= layout.window * 1600 // 3 for other in others)
    assert all(last <= max(other, MIN_SAMPLES + 1600) for other in others)  # the last may have to reach back
    assert all(other - last <= len(windows) * 1600 + MIN_SAMPLES for other in others)


def test_a_tail_too_short_for_the_networks_reaches_back():
    planner = Planner(Layout(30, 0, 0))
    assert len(planner.push(16_000 + 100)) == 1
    last = planner.flush()
    assert last.first == 30
    assert last.samples >= MIN_SAMPLES
    assert last.end == frame_count(16_100)


@pytest.mark.parametrize(("seconds", "frames"), [(25.0, 750), (0.5, 15), (0.1, 3), (0.01, 3), (0.3, 9), (2.14, 66)])
def test_seconds_round_up_to_the_grid(seconds, frames):
    assert grid_ceil(seconds) == frames


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((0, 0, 0), "window is 0 s"),
        ((float("nan"), 0, 0), "nan"),
        ((MAX_WINDOW_S + 1, 0, 0), "at most 166.6"),
        ((10, -1, 0), "before is -1"),
        ((10, 0, float("inf")), "after is inf"),
        ((1, 0.5, 0.5), "overlap is 1 s; accepted: less than the window, 1 s"),
    ],
)
def test_bad_layouts_say_what_is_accepted(seconds, words):
    with pytest.raises(InvalidWindow, match=words):
        Layout.of_seconds(*seconds)


def test_a_short_answer_a_double_and_a_gap_are_noticed():
    first, second = PlannedWindow(0, 16_000, 0, 30), PlannedWindow(30, 16_000, 30, 60)
    rows = np.zeros((30, 52), np.float32)
    with pytest.raises(UnexpectedResponse, match="29 frames"):
        Stitcher().push(first, rows[:29])
    stitcher = Stitcher()
    stitcher.push(second, rows)
    with pytest.raises(UnexpectedResponse, match="frame 30 came back twice"):
        stitcher.push(second, rows)
    with pytest.raises(UnexpectedResponse, match="frames from 0 of 60 are missing"):
        stitcher.finish(60)
    stitcher.push(first, rows)
    with pytest.raises(UnexpectedResponse, match="twice"):
        stitcher.push(first, rows)
    stitcher.finish(60)


@pytest.mark.parametrize("samples", [400, 719])
def test_the_shortest_clip_is_the_networks(samples):
    planner = Planner(Layout.of_seconds(25, 2, 1), shortest=400)
    assert planner.push(samples) == []
    assert planner.flush() == PlannedWindow(0, samples, 0, 1 if samples < 534 else 2)
    with pytest.raises(AudioTooShort, match=r"0 samples.*at least 400"):
        Planner(Layout.of_seconds(25, 2, 1), shortest=400).flush()


@given(st.lists(st.integers(0, 6 * SAMPLE_RATE), min_size=1, max_size=30), layouts)
@settings(max_examples=300)
def test_a_clip_that_grows_is_cut_like_one_that_is_known(pushes, steps):
    """Whatever the pushes: the same windows, none before all its samples are there, none that asks for what is gone."""
    samples = sum(pushes)
    layout = balanced(samples, Layout(*(3 * s for s in steps)))
    planner, windows, there = Planner(layout), [], 0
    for count in pushes:
        kept_from = planner.needed_from
        there += count
        for window in planner.push(count):
            assert kept_from <= window.start_sample
            assert window.start_sample + window.samples < there
            windows.append(window)
    if samples < MIN_SAMPLES:
        with pytest.raises(AudioTooShort, match=f"{samples} samples.*at least {MIN_SAMPLES}"):
            planner.flush()
        return
    last = planner.flush()
    assert planner.needed_from <= last.start_sample
    assert [*windows, last] == list(plan(samples, layout))


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_window_that_ends_with_the_samples_may_be_the_last_and_waits(off):
    planner = Planner(Layout(30, 6, 3))
    assert len(planner.push(16_000 + off)) == (off > 0)


def test_a_layout_off_the_grid_is_refused():
    with pytest.raises(InvalidWindow, match="multiples of 3 frames"):
        Layout(30, 1, 0)


@pytest.mark.parametrize(("seconds", "frames"), [(25.0, 750), (0.19, 3), (0.3, 9), (0.0999, 0)])
def test_seconds_round_down_to_the_grid(seconds, frames):
    assert grid_floor(seconds) == frames
