"""The frame rate of a file that says only when its frames are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import FPS


def rate_of(seconds: NDArray[np.float64], fallback: float | None) -> float:
    """Frames per second of frames at ``seconds`` [F]: (F - 1) / (last - first), to a millionth.

    Where they tell none (a single frame), it is ``fallback``, or the network's own rate.
    """
    if len(seconds) > 1 and seconds[-1] > seconds[0]:
        return round(float((len(seconds) - 1) / (seconds[-1] - seconds[0])), 6)
    return fallback or FPS
