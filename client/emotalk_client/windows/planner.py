"""Cuts a clip into windows: which samples to send, and which frames of the answer count.

Rule that this module guards: **every frame of the clip counts in exactly one window.** All cuts lie on the grid of 3
frames = 1600 samples, where frames, features and samples are whole. Pure arithmetic, no I/O: :func:`plan` for a clip
whose length is known, :class:`Planner` (push, flush) for one that is still growing. A clip of known length is cut into
windows of about one length (:func:`balanced`).

Theory of operation. Windows are of one length. Each carries, before its first frame that counts, ``before`` frames of
the past, and after its last, ``after`` frames of the future, so that the encoders see context on both sides; neighbours
overlap by both. At the clip's ends there is nothing to carry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from emotalk_contract.errors import AudioTooShort, InvalidWindow
from emotalk_contract.limits import MAX_SAMPLES, MIN_SAMPLES
from emotalk_contract.timing import FPS, GRID_FRAMES, GRID_SAMPLES, SAMPLE_RATE, frame_count, frame_to_sample

MAX_WINDOW_S = MAX_SAMPLES // GRID_SAMPLES * GRID_SAMPLES / SAMPLE_RATE
"""Seconds: the longest window that one request can carry."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The lengths of windows and overlaps, in frames; all multiples of 3."""

    window: int
    before: int
    after: int

    def __post_init__(self) -> None:
        if self.window % GRID_FRAMES or self.before % GRID_FRAMES or self.after % GRID_FRAMES:
            raise InvalidWindow(f"{self} is not on the grid; accepted: multiples of {GRID_FRAMES} frames")
        if not self.before + self.after < self.window:
            raise InvalidWindow(
                f"the overlap is {(self.before + self.after) / FPS:g} s; accepted: less than the window, "
                f"{self.window / FPS:g} s"
            )

    @classmethod
    def of_seconds(cls, window_s: float, before_s: float, after_s: float) -> Layout:
        """Seconds rounded up to the grid of 0.1 s.

        Raises:
            InvalidWindow: a length that is negative, not finite, too long, or an overlap that leaves nothing.
        """
        if not 0 < window_s <= MAX_WINDOW_S:  # NaN fails too
            raise InvalidWindow(f"the window is {window_s} s; accepted: more than 0, at most {MAX_WINDOW_S:g} s")
        for name, seconds in (("before", before_s), ("after", after_s)):
            if not 0 <= seconds <= MAX_WINDOW_S:
                raise InvalidWindow(f"the overlap {name} is {seconds} s; accepted: 0..{MAX_WINDOW_S:g} s")
        return cls(grid_ceil(window_s), grid_ceil(before_s), grid_ceil(after_s))


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """The samples to send, and the frames of the answer to keep."""

    start_frame: int
    """Absolute frame at which the window starts, a multiple of 3."""
    samples: int
    first: int
    """Absolute frame of the first that counts."""
    end: int
    """Absolute frame after the last that counts."""

    @property
    def start_sample(self) -> int:
        """The clip's sample at which the window starts."""
        return frame_to_sample(self.start_frame)

    @property
    def kept(self) -> slice:
        """Rows of the answer that count."""
        return slice(self.first - self.start_frame, self.end - self.start_frame)


def grid_ceil(seconds: float) -> int:
    """Frames of ``seconds``, rounded up to the grid (a billionth of a step is taken for a float's error)."""
    return math.ceil(seconds * SAMPLE_RATE / GRID_SAMPLES - 1e-9) * GRID_FRAMES


def grid_floor(seconds: float) -> int:
    """Frames of ``seconds``, rounded down to the grid (likewise)."""
    return math.floor(seconds * SAMPLE_RATE / GRID_SAMPLES + 1e-9) * GRID_FRAMES


def plan(clip_samples: int, layout: Layout) -> Iterator[PlannedWindow]:
    """Windows of a clip of ``clip_samples`` samples, in order; all in one where it fits.

    Raises:
        AudioTooShort: fewer than 720.
    """
    planner = Planner(balanced(clip_samples, layout))
    yield from planner.push(clip_samples)
    yield planner.flush()


def balanced(clip_samples: int, layout: Layout) -> Layout:
    """``layout`` with the shortest window that cuts the clip into as many windows.

    So all are of about one length: none is a short rest, which would know the least of its clip, and the server can
    batch them.
    """
    frames = -(-clip_samples // GRID_SAMPLES) * GRID_FRAMES
    shared = layout.before + layout.after
    if frames <= layout.window:
        return layout
    count = -(-(frames - shared) // (layout.window - shared))
    steps = -(-(frames + (count - 1) * shared) // (count * GRID_FRAMES))
    return Layout(min(layout.window, steps * GRID_FRAMES), layout.before, layout.after)


class Planner:
    """Windows of a clip that is still growing: push samples, take the windows that are whole, flush at the end."""

    def __init__(self, layout: Layout, shortest: int = MIN_SAMPLES) -> None:
        """Take the layout, and the samples that the network needs at least."""
        self._layout = layout
        self._shortest = shortest
        self._samples = 0
        self._first = 0

    @property
    def samples(self) -> int:
        """Samples that were pushed."""
        return self._samples

    @property
    def needed_from(self) -> int:
        """The clip's first sample that a window to come may still ask for; what lies before can be let go of."""
        reach_back = max(self._layout.before, -(-self._shortest // GRID_SAMPLES) * GRID_FRAMES)
        return frame_to_sample(max(0, self._first - reach_back))

    def push(self, samples: int) -> list[PlannedWindow]:
        """Say that ``samples`` more samples are there; the windows that are whole now.

        A window that would end exactly where the samples do waits: it may be the clip's last.
        """
        self._samples += samples
        whole = []
        while frame_to_sample(self._start + self._layout.window) < self._samples:
            start, end = self._start, self._start + self._layout.window
            whole.append(PlannedWindow(start, frame_to_sample(end - start), self._first, end - self._layout.after))
            self._first = end - self._layout.after
        return whole

    def flush(self) -> PlannedWindow:
        """The last window, which takes what is left; if that is too little for the networks, it starts earlier.

        Raises:
            AudioTooShort: fewer than the network needs came in all.
        """
        if self._samples < self._shortest:
            raise AudioTooShort(f"the clip has {self._samples} samples at 16 kHz; accepted: at least {self._shortest}")
        missing = max(0, self._shortest - (self._samples - frame_to_sample(self._start)))
        start = max(0, self._start - -(-missing // GRID_SAMPLES) * GRID_FRAMES)
        return PlannedWindow(start, self._samples - frame_to_sample(start), self._first, frame_count(self._samples))

    @property
    def _start(self) -> int:
        return max(0, self._first - self._layout.before)
