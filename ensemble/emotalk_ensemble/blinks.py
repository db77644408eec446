"""Blinks as a function of (seed, absolute frame): nothing is stored, so any window of a clip blinks as the whole does.

Theory of operation. Blink k starts at frame ``30 + 120 k + u(k)`` with u(k) uniform in 0..60, drawn by hashing (seed,
k): no clip begins in a blink, the first comes after 1 to 3 seconds, the next 2 to 6 seconds after (60 to 180 frames, as
EmoTalk's authors space theirs). Each lasts 7 frames (0.23 s). Its shape is ours: lids close in 75 ms, rest for 30 ms
and open in 130 ms, sampled at a phase that is hashed too, so that no two blinks fall alike on the frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import FPS

PERIOD = 120
"""Frames: blink k starts in ``[OPEN + PERIOD * k, OPEN + PERIOD * k + SPREAD]``."""
SPREAD = 60
"""Frames."""
OPEN = 30
"""Frames at the beginning in which every seed leaves the eyes open: a face is first seen with them."""
DURATION = 7
"""Frames from the first that moves to the last."""

CLOSING_S, CLOSED_S, OPENING_S = 0.075, 0.030, 0.130
PEAK = 0.95
"""Weight of a shut lid."""


def blink_weights(seed: int, first_frame: int, frames: int) -> NDArray[np.float32]:
    """Weights of both lids, [frames], from the absolute frame ``first_frame`` on."""
    frame = np.arange(first_frame, first_frame + frames, dtype=np.int64) - OPEN
    number = frame // PERIOD
    start = number * PERIOD + (_uniform(seed, number, 0) * (SPREAD + 1)).astype(np.int64)
    since = frame - start
    lids = _lid((since + _uniform(seed, number, 1)) / FPS)
    return np.where((since >= 0) & (since < DURATION), lids, 0.0).astype(np.float32)


def _lid(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Closure of a lid that began to move ``seconds`` ago."""
    closing = _smoothstep(seconds / CLOSING_S)
    opening = _smoothstep((seconds - CLOSING_S - CLOSED_S) / OPENING_S)
    return PEAK * (closing - opening)


def _smoothstep(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _uniform(seed: int, number: NDArray[np.int64], draw: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each blink: SplitMix64's finaliser (Steele, Lea & Flood, OOPSLA 2014) over a counter."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + number.astype(np.uint64) * np.uint64(2)
        z = (z + np.uint64(draw)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53
