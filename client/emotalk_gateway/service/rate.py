"""The frames a second that the server holds, seen from here.

Theory of operation. A clip is held when its frames come at least as fast as they are shown. So the rate that a caller
gets is the rate at which one call's frames came lately, waiting included, between :data:`LEAST` and what the network
says (30); after :data:`FORGET_S` without news it is the network's again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from emotalk_contract.timing import FPS

LEAST = 10
"""Frames per second: less is not motion."""
SHARE = 0.5
"""Of the newest news in the mean: two calls that come late, or in time, decide."""
FORGET_S = 10.0
"""Seconds after which old news say nothing about the server any more."""


class HeldRate:
    """The mean, and what follows from it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._heard_at = float("-inf")

    def heard(self, frames: int, seconds: float) -> None:
        """``frames`` frames (at 30 fps) of one call took ``seconds`` to come."""
        if frames <= 0:
            return
        each = seconds / frames
        fresh = self._clock() - self._heard_at > FORGET_S
        self._seconds = each if fresh else (1 - SHARE) * self._seconds + SHARE * each
        self._heard_at = self._clock()

    @property
    def fps(self) -> int:
        """Whole frames per second to give now."""
        if self._clock() - self._heard_at > FORGET_S or self._seconds * FPS <= 1:
            return FPS
        return max(LEAST, int(1 / self._seconds))
