"""Cutting a stream: every frame once, none before its look-ahead was spoken, whatever comes when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotalk_client.audio.tail import AudioTail
from emotalk_client.live.planner import LiveLayout, LivePlanner
from emotalk_client.windows.stitcher import Stitcher
from emotalk_contract.errors import InvalidWindow
from emotalk_contract.limits import MIN_SAMPLES
from emotalk_contract.timing import FPS, GRID_FRAMES, SAMPLE_RATE, Window, frame_count

pytestmark = pytest.mark.unit

layouts = st.builds(
    LiveLayout,
    before=st.integers(0, 60),
    hop=st.integers(1, 30),
    look_ahead=st.integers(1, 8_000) | st.sampled_from([1, 533, 534, 1_599, 1_600, 1_601]),
    most=st.integers(1, 60),
)
amounts = (
    st.sampled_from([0, 1, 533, 534, MIN_SAMPLES - 1, MIN_SAMPLES, 1_600])
    | st.integers(0, 3_000)
    | st.integers(0, 60 * SAMPLE_RATE)
)
EDGES = (-1, 0, 1)
"""Samples by which a push ends before, at or after the moment at which the next window can be cut."""
cuts = st.sampled_from([0, 1, 99])
"""Windows that the server has room for after a push."""
pushes = st.lists(st.tuples(amounts | st.sampled_from(EDGES).map(str), cuts), max_size=25)


def signal(start, end):
    """Samples that tell where they are, and are never silence."""
    return (np.arange(start, end) % 65_521 + 1).astype(np.float32)


class Stream:
    """A planner, its audio and its joined answers, as a session has them; every window is checked as it is cut."""

    def __init__(self, layout):
        self.layout = layout
        self.planner, self.tail, self.stitcher = LivePlanner(layout), AudioTail(), Stitcher()
        self.spoken = self.next = 0
        self.lengths = {}
        self.answers = []
        self.joined = []

    def heard(self, frame):
        """Return whether ``frame`` exists and all that it looks ahead at was spoken, in exact arithmetic."""
        return frame * SAMPLE_RATE + self.layout.look_ahead * FPS <= self.spoken * FPS

    def until_the_next_cut(self):
        last = self.next + self.layout.hop - 1
        return -(-(last * SAMPLE_RATE + self.layout.look_ahead * FPS) // FPS) - self.spoken

    def push(self, samples):
        self.tail.push(signal(self.spoken, self.spoken + samples))
        self.planner.push(samples)
        self.spoken += samples

    def cut(self):
        window = self.planner.cut()
        if window is None:
            assert not self.heard(self.next + self.layout.hop - 1)
            return False
        assert self.heard(window.end - 1)
        larger = [size for size in self.layout.sizes() if size > window.end - window.first]
        assert not any(self.heard(window.first + size - 1) for size in larger)  # as much as there is
        assert self.lengths.setdefault(window.end - window.first, window.samples) == window.samples
        end = (window.start_sample + window.samples) * FPS
        assert end >= (window.end - 1) * SAMPLE_RATE + self.layout.look_ahead * FPS
        self.check(window)
        self.tail.forget(self.planner.needed_from)
        return True

    def flush(self):
        while self.cut():
            pass
        window = self.planner.flush()
        if window is not None:
            assert window.start_sample + window.samples == max(self.spoken, MIN_SAMPLES)
            self.check(window)
        assert self.planner.flush() is None

    def check(self, window):
        assert window.first == self.next < window.end
        assert window.start_frame % GRID_FRAMES == 0
        assert window.first - window.start_frame >= min(window.first, self.layout.before)
        assert window.samples >= MIN_SAMPLES
        served = Window(window.samples, window.start_frame).frames
        assert window.end - window.start_frame <= served
        sent = self.tail.part(window.start_sample, window.samples)
        there = signal(window.start_sample, min(self.spoken, window.start_sample + window.samples))
        np.testing.assert_array_equal(sent[: len(there)], there)
        assert not sent[len(there) :].any()
        rows = np.repeat(np.arange(window.start_frame, window.start_frame + served, dtype=np.float32)[:, None], 52, 1)
        self.answers.append((window, rows))
        self.next = window.end

    def answer(self, random):
        random.shuffle(self.answers)
        while self.answers:
            for first, rows in self.stitcher.push(*self.answers.pop()):
                assert rows[0, 0] == first
                self.joined.append(rows[:, 0])


@given(layouts, pushes, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_every_frame_comes_once_and_none_before_its_look_ahead(layout, pushed, random):
    stream = Stream(layout)
    for amount, room in pushed:
        edge = isinstance(amount, str)
        stream.push(max(0, stream.until_the_next_cut() + int(amount)) if edge else amount)
        for _ in range(room):
            if not stream.cut():
                break
    stream.flush()
    stream.answer(random)
    frames = -(-30 * stream.spoken // 16_000)
    stream.stitcher.finish(frames)
    np.testing.assert_array_equal(np.concatenate([[], *stream.joined]), np.arange(frames))


@pytest.mark.parametrize("hop", [1, 2, 7])
@pytest.mark.parametrize("look_ahead", [1, 533, 534, 2_014])
def test_a_window_is_cut_with_the_very_sample_that_completes_it(hop, look_ahead):
    stream = Stream(LiveLayout(45, hop, look_ahead, 60))
    for _ in range(100):
        stream.push(stream.until_the_next_cut() - 1)
        assert not stream.cut()
        stream.push(1)
        assert stream.cut()
        assert not stream.cut()
    assert stream.next == 100 * hop


@pytest.mark.parametrize("rest", [0, 1, 533, 534, 719, 720, 721, 1_600])
@pytest.mark.parametrize("before", [0, 1, 45])
@pytest.mark.parametrize("cut", [0, 1, 30, 101])
def test_a_stream_may_end_with_any_rest(rest, before, cut):
    """``cut`` frames are out when ``rest`` samples more are spoken, and no more."""
    stream = Stream(LiveLayout(before, 1, 1, 1))
    if cut:
        stream.push(-(-(cut - 1) * SAMPLE_RATE // FPS) + 1)
        while stream.cut():
            pass
    assert stream.next == cut
    stream.push(rest)
    stream.flush()
    assert stream.next == frame_count(stream.spoken)


def test_catching_up_takes_few_windows_of_few_lengths():
    stream = Stream(LiveLayout(45, 2, 2_548, 60))
    stream.push(60 * SAMPLE_RATE)
    windows = 0
    while stream.cut():
        windows += 1
    assert stream.next == 1_796
    assert windows <= -(-1_796 // 48) + 4
    assert set(stream.lengths) <= {2, 3, 4, 6, 8, 12, 16, 24, 32, 48}


@pytest.mark.parametrize("layout", [(-1, 2, 100), (45, 0, 100), (45, 2, 0)])
def test_a_layout_that_cannot_be_is_refused(layout):
    with pytest.raises(InvalidWindow, match="look-ahead of 1 or more"):
        LiveLayout(*layout, most=60)


@given(st.lists(st.tuples(st.integers(0, 70_000), st.integers(0, 40_000)), max_size=30), st.data())
@settings(max_examples=100, deadline=None)
def test_a_tail_is_the_end_of_the_signal_with_silence_after_it(steps, data):
    tail, spoken, needed = AudioTail(), 0, 0
    for amount, keep in steps:
        tail.push(signal(spoken, spoken + amount))
        spoken += amount
        needed = max(needed, spoken - keep)
        tail.forget(needed)
        assert tail.end == spoken
        start = data.draw(st.integers(needed, spoken + 10))
        samples = data.draw(st.integers(0, spoken - start + 2_000 if spoken > start else 10))
        part = tail.part(start, samples)
        there = signal(start, max(start, min(spoken, start + samples)))
        np.testing.assert_array_equal(part, np.concatenate([there, np.zeros(samples - len(there), np.float32)]))


def test_a_tail_lets_go_and_says_so():
    tail = AudioTail()
    for second in range(600):
        tail.push(signal(0, SAMPLE_RATE))
        tail.forget((second - 1) * SAMPLE_RATE)
        assert tail.held <= 6 * SAMPLE_RATE
    with pytest.raises(ValueError, match="sample 0 was let go of"):
        tail.part(0, 1)


def test_a_tail_is_not_the_callers_array():
    tail, block = AudioTail(), signal(0, 100)
    tail.push(block)
    block[:] = 0
    part = tail.part(0, 100)
    np.testing.assert_array_equal(part, signal(0, 100))
    part[:] = 0
    np.testing.assert_array_equal(tail.part(0, 100), signal(0, 100))
