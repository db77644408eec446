"""The frame rate of a file that says only when its frames are.

It is the rate of the usual step between frames, so that gaps do not count, snapped to a usual rate (24, 29.97, 30, …)
or a whole number where the clock's own resolution cannot tell them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats.faults import Fault, shortened
from emotalk_client.faces.resampling import is_rate
from emotalk_client.faces.track import MAX_FRAMES
from emotalk_contract.limits import MAX_EXPORT_FPS, MIN_EXPORT_FPS
from emotalk_contract.timing import FPS

USUAL = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 100.0, 120.0, 240.0, 23.976, 29.97, 47.952, 59.94, 119.88, 239.76)
CLOSE, CLOSEST_KNOWN = 2e-4, 0.05
"""A rate is snapped within this share of it: at least the first, at most the second, however coarse the clock."""
LEAST_SPAN = 1e-9
"""Seconds: steps that add up to less are as good as none."""
GAP = 1.75
"""Times the median: a longer step is a gap."""


def rate_of(seconds: NDArray[np.float64], fallback: float | None, resolution: float = 1e-7) -> float:
    """Frames per second of frames at ``seconds`` [F], ascending, told by a clock of ``resolution`` seconds.

    Where they tell none (a single frame, or frames that are more than a second apart) it is ``fallback``, or the
    network's own rate: such frames are key frames with gaps between.

    Raises:
        Fault: there are more than 240 a second, or the gaps are so long that they span more than ``MAX_FRAMES``.
    """
    rate = _told(seconds, resolution) or fallback or FPS
    if rate > MAX_EXPORT_FPS:
        raise Fault(f"its rows come {rate:.6g} times a second; accepted: at most {MAX_EXPORT_FPS}")
    if len(seconds) and (seconds[-1] - seconds[0]) * rate >= MAX_FRAMES:
        raise Fault(
            f"its rows span {seconds[-1] - seconds[0]:.6g} s at {rate:g} fps; accepted: at most {MAX_FRAMES} frames"
        )
    return rate


def said_rate(value: object, name: str) -> float:
    """``value``, which the file calls ``name``, as a rate; :class:`Fault` if it is not one."""
    if not is_rate(value):
        raise Fault(f"{name} is {shortened(value)}; accepted: {MIN_EXPORT_FPS}..{MAX_EXPORT_FPS} frames a second")
    return float(value)  # type: ignore[arg-type]  # is_rate has seen that it is a number


def _told(seconds: NDArray[np.float64], resolution: float) -> float | None:
    steps = np.diff(seconds)
    if not len(steps):
        return None
    median = float(np.median(steps))
    usual = steps[(steps <= GAP * median) & (steps >= median / GAP / 2)]
    span = max(float(usual.sum()), LEAST_SPAN)
    rate = snapped(len(usual) / span, resolution / span)
    return rate if rate >= MIN_EXPORT_FPS else None


def snapped(rate: float, doubt: float) -> float:
    """``rate``, or the nearest usual or whole one within the share ``doubt`` of it; to a millionth."""
    near = min(max(doubt, CLOSE), CLOSEST_KNOWN)
    for choice in (min(USUAL, key=lambda usual: abs(usual - rate)), float(round(rate))):
        if abs(choice - rate) <= near * rate:
            return choice
    return round(rate, 6)
