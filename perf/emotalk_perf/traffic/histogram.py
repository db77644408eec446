"""Seconds, counted in buckets that are 1 % wide: constant memory, however many there are."""

from __future__ import annotations

import math

import numpy as np

LEAST_S = 1e-4
"""Upper edge of the first bucket."""
RATIO = 1.01
"""Upper edge of a bucket, of its lower one."""
BUCKETS = 2048
"""The last one begins at 0.7 million seconds."""


class Histogram:
    """Counts of seconds; ``largest`` is exact."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, np.int64)
        self.largest = 0.0

    def __len__(self) -> int:
        return int(self.counts.sum())

    def add(self, seconds: float) -> None:
        """Count one."""
        place = math.ceil(math.log(max(seconds, LEAST_S) / LEAST_S, RATIO))
        self.counts[min(place, BUCKETS - 1)] += 1
        self.largest = max(self.largest, seconds)

    def add_all(self, other: Histogram) -> None:
        """Count all of ``other``."""
        self.counts += other.counts
        self.largest = max(self.largest, other.largest)

    def quantile(self, share: float) -> float:
        """Return the seconds within which ``share`` of them were, at most 1 % too many; NaN where there are none."""
        if not (count := len(self)):
            return float("nan")
        place = int(np.searchsorted(np.cumsum(self.counts), math.ceil(share * count)))
        return float(min(LEAST_S * RATIO**place, self.largest))
