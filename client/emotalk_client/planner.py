"""Cuts a clip into windows: which samples to send, and which frames of the answer count.

Rule that this module guards: **every frame of the clip counts in exactly one window.** All cuts lie on the grid of 3
frames = 1600 samples, where frames, features and samples are whole. Pure arithmetic, no I/O.

Theory of operation. Windows are of one length. Each carries, before its first frame that counts, ``before`` frames of
the past, and after its last, ``after`` frames of the future, so that the encoders see context on both sides; neighbours
overlap by both. At the clip's ends there is nothing to carry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from emotalk_ensemble.contract.errors import InvalidWindow
from emotalk_ensemble.contract.limits import MAX_SAMPLES, MIN_SAMPLES
from emotalk_ensemble.timing import GRID_FRAMES, GRID_SAMPLES, SAMPLE_RATE, frame_count, frame_to_sample

MAX_WINDOW_S = MAX_SAMPLES // GRID_SAMPLES * GRID_SAMPLES / SAMPLE_RATE
"""Seconds: the longest window that one request can carry."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How windows lie, in frames; all multiples of 3."""

    window: int
    before: int
    after: int

    def __post_init__(self) -> None:
        if not self.before + self.after < self.window:
            raise InvalidWindow(
                f"the overlap is {(self.before + self.after) / 30:g} s; accepted: less than the window, "
                f"{self.window / 30:g} s"
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
            if not 0 <= seconds < math.inf:
                raise InvalidWindow(f"the overlap {name} is {seconds} s; accepted: 0 or more")
        return cls(grid_ceil(window_s), grid_ceil(before_s), grid_ceil(after_s))


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """What to send, and what of the answer to keep."""

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


def plan(clip_samples: int, layout: Layout) -> Iterator[PlannedWindow]:
    """Windows of a clip of ``clip_samples`` samples (at least 720), in order."""
    frames = frame_count(clip_samples)
    first = 0
    while first < frames:
        start = max(0, first - layout.before)
        end = start + layout.window
        if frame_to_sample(end) >= clip_samples:
            # The last window takes what is left; if that is too little for the networks, it starts earlier.
            missing = max(0, MIN_SAMPLES - (clip_samples - frame_to_sample(start)))
            start = max(0, start - -(-missing // GRID_SAMPLES) * GRID_FRAMES)
            yield PlannedWindow(start, clip_samples - frame_to_sample(start), first, frames)
            return
        counted = end - layout.after
        yield PlannedWindow(start, frame_to_sample(end - start), first, counted)
        first = counted
