"""The end of a growing signal: samples from the first that is still needed to the last that came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import SAMPLE_RATE


class AudioTail:
    """Mono 16 kHz audio; sample numbers are those of the whole signal, from its beginning."""

    def __init__(self) -> None:
        self._kept = np.zeros(SAMPLE_RATE, np.float32)
        self._first = 0
        self._length = 0
        self._needed = 0

    @property
    def end(self) -> int:
        """The sample after the last that came."""
        return self._first + self._length

    @property
    def held(self) -> int:
        """Samples in memory."""
        return self._length

    def push(self, samples: NDArray[np.float32]) -> None:
        """Add ``samples`` [n]."""
        if self._length + len(samples) > len(self._kept):
            self._let_go()
            # With just enough room every push would move everything.
            if self._length + len(samples) > len(self._kept) * 7 // 8:
                self._kept = np.concatenate([self._kept, np.zeros(max(len(self._kept), len(samples)), np.float32)])
        self._kept[self._length : self._length + len(samples)] = samples
        self._length += len(samples)

    def part(self, start: int, samples: int) -> NDArray[np.float32]:
        """A copy of ``samples`` samples from ``start``, with silence where nothing has come yet.

        Raises:
            ValueError: the part starts before what is still kept.
        """
        if start < self._first:
            raise ValueError(f"sample {start} was let go of; kept: from {self._first}")
        out = np.zeros(samples, np.float32)
        there = self._kept[start - self._first : self._length][:samples]
        out[: len(there)] = there
        return out

    def forget(self, before: int) -> None:
        """Let go of the samples before ``before``."""
        self._needed = max(self._needed, before)
        if self._needed - self._first > len(self._kept) // 2:  # seldom, so that a push of one sample stays cheap
            self._let_go()

    def _let_go(self) -> None:
        gone = min(self._needed - self._first, self._length)
        self._kept[: self._length - gone] = self._kept[gone : self._length].copy()
        self._first += gone
        self._length -= gone
