"""Blocks of frames at another rate, one after the other: what :meth:`Animation.resampled` gives of the whole clip.

Rule that this module guards: **how a clip is cut never shows.** 30 and any whole rate meet at least once a second; cuts
lie where they meet, and each block is resampled together with as many neighbours as can matter.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import InvalidRate
from emotalk_client.faces.resampling import resampled
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.limits import MAX_EXPORT_FPS, MIN_EXPORT_FPS
from emotalk_contract.timing import FPS
from emotalk_gateway.service.request import Face


def check_whole_rate(fps: object) -> int:
    """``fps``, a number or its text, as a whole rate; :class:`InvalidRate` otherwise."""
    try:
        rate = float(fps)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        rate = math.nan
    if not (rate.is_integer() and MIN_EXPORT_FPS <= rate <= MAX_EXPORT_FPS):
        raise InvalidRate(f"fps is {fps!r}; accepted: whole numbers in {MIN_EXPORT_FPS}..{MAX_EXPORT_FPS}")
    return int(rate)


class Retimer:
    """Takes the blocks of a clip at 30 fps in order, gives its frames at ``fps`` as they become final. No I/O."""

    def __init__(self, fps: int) -> None:
        meetings = math.gcd(FPS, fps)
        self._fps = fps
        self._step, self._out_step = FPS // meetings, fps // meetings
        # Curves look at two neighbours, closures at half a frame of the new rate.
        reach = max(2, math.ceil(FPS / fps / 2)) + 1
        self._margin = -(-reach // self._step) * self._step
        self._held = np.zeros((0, BLENDSHAPE_COUNT), np.float32)
        self._start = 0  # absolute frame of the first held, at a meeting
        self._done = 0  # absolute frame before which all is given, at a meeting (or anywhere, at 30 fps)

    def push(self, weights: NDArray[np.float32]) -> Face | None:
        """Return the frames that are final now that ``weights`` [F, 52] have come, if any."""
        if self._fps == FPS:
            face = Face(self._done, weights)
            self._done += len(weights)
            return face
        self._held = np.concatenate([self._held, weights])
        end = (self._start + len(self._held) - self._margin) // self._step * self._step
        if end <= self._done:
            return None
        first, last = self._out(self._done), self._out(end)
        out = self._given(first, last)
        self._done = end
        start = max(self._start, self._done - self._margin)
        self._held = self._held[start - self._start :]
        self._start = start
        return out

    def flush(self) -> Face | None:
        """Return what is left at the end, if anything."""
        if self._fps == FPS or self._start + len(self._held) <= self._done:
            return None
        return self._given(self._out(self._done), None)

    def _given(self, first: int, last: int | None) -> Face:
        """Output frames ``first`` to ``last`` (the end) of the clip."""
        offset = self._out(self._start)
        weights = resampled(self._held, FPS, self._fps)[first - offset : None if last is None else last - offset]
        return Face(first, weights, self._fps)

    def _out(self, frame: int) -> int:
        return frame // self._step * self._out_step
