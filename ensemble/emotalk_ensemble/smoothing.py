"""Savitzky-Golay smoothing over time, window 5, order 2.

Least squares: every frame becomes the value at its place of the parabola that fits its 5 neighbours best; the first and
last two frames take the parabolas of the first and last five (Savitzky & Golay, Analytical Chemistry 36 (1964) 1627).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW = 5
ORDER = 2
REACH = WINDOW // 2
"""Frames that smoothing looks back and ahead."""


def _projection() -> NDArray[np.float64]:
    """[5, 5]: row i gives the fitted value at place i of a window."""
    powers = np.vander(np.arange(WINDOW) - REACH, ORDER + 1, increasing=True).astype(np.float64)
    return powers @ np.linalg.pinv(powers)


_FIT = _projection()


def smoothed(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """``weights`` [frames, channels], smoothed along frames, in a new array; fewer than 5 frames stay as they are."""
    frames = len(weights)
    if frames < WINDOW:
        return weights.copy()
    wide = weights.astype(np.float64)
    out: NDArray[Any] = np.empty_like(wide)
    out[REACH:-REACH] = sum(_FIT[REACH, i] * wide[i : frames - WINDOW + 1 + i] for i in range(WINDOW))
    out[:REACH] = _FIT[:REACH] @ wide[:WINDOW]
    out[-REACH:] = _FIT[-REACH:] @ wide[-WINDOW:]
    return out.astype(np.float32)
