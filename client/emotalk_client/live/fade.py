"""The way to rest, from the frame that was seen last. Pure, no I/O.

Rule that this module guards: **a fade goes on from what was shown.** A caller that plays frames with a delay has shown
fewer than it was given; it says which, and the fade starts there.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np

from emotalk_client.faces.animation import Frame
from emotalk_client.live.echo import silence
from emotalk_client.live.settings import LONGEST_FADE_S
from emotalk_client.settings import is_number
from emotalk_contract.errors import InvalidOption
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import FPS

KEPT_S = 120.0
"""Seconds of frames handed out that a fade may start from; 750 kB."""
_KEPT = round(KEPT_S * FPS)


class ShownFrames:
    """The newest frames that were handed out, up to :data:`KEPT_S` seconds of them."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self.newest = -1
        """Index of the last."""

    def push(self, frames: Sequence[Frame]) -> None:
        """Remember ``frames`` (one or more), which follow on those before."""
        self._frames += (replace(frame, audio=None) if frame.audio else frame for frame in frames)
        self.newest = frames[-1].index
        if len(self._frames) >= 2 * _KEPT:  # seldom, so that it costs nothing on the average
            del self._frames[:-_KEPT]

    def clear(self) -> None:
        """Forget all: the face is at rest."""
        self._frames.clear()

    def fade(self, fade_s: float, played_frame: int | None, sample_rate: int | None = None) -> list[Frame]:
        """Return ``ceil(30 * fade_s)`` frames from the face at ``played_frame`` (None: the newest) to rest.

        With silence at ``sample_rate`` Hertz, where one is given.

        Their indices follow on ``played_frame``. They are [] where nothing was shown, or ``fade_s`` is 0. A frame that
        is not remembered any more is stood for by the oldest that is.

        Raises:
            InvalidOption: ``fade_s`` or ``played_frame`` is out of range.
        """
        check_fade(fade_s)
        if played_frame is None:
            played_frame = self.newest
        if not (isinstance(played_frame, int) and -1 <= played_frame <= self.newest) or played_frame is True:
            raise InvalidOption(
                f"played_frame is {played_frame!r}; accepted: the index of a frame that was handed out "
                f"(the newest is {self.newest}), or -1 for none"
            )
        if played_frame < 0 or fade_s == 0 or not self._frames:
            return []
        at = bisect_right(self._frames, played_frame, key=attrgetter("index"))
        return faded(played_frame, self._frames[max(0, at - 1)], fade_s, sample_rate)


def check_fade(fade_s: float) -> None:
    """Raise :class:`InvalidOption` where ``fade_s`` is not 0 to :data:`LONGEST_FADE_S` seconds."""
    if not (is_number(fade_s) and 0 <= fade_s <= LONGEST_FADE_S):  # NaN fails too
        raise InvalidOption(f"fade_s is {quoted(fade_s)}; accepted: 0..{LONGEST_FADE_S:g} seconds")


def faded(index: int, last: Frame, fade_s: float, sample_rate: int | None) -> list[Frame]:
    """Return the frames after ``index``, on half a cosine from the face of ``last`` to rest.

    With silence at ``sample_rate`` Hertz, where one is given.
    """
    steps = math.ceil(fade_s * FPS)
    frames = []
    for step in range(1, steps + 1):
        share = 0.5 + 0.5 * math.cos(math.pi * step / steps)
        at = index + step
        sound = None if sample_rate is None else silence(at, sample_rate)
        frames.append(Frame(at, at / FPS, (last.weights * share).astype(np.float32), sound))
    return frames
