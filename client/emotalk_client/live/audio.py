"""A stream's audio: blocks of any rate and size into 16 kHz."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio import MAX_CHANNELS, Resampler, check_values, scaled
from emotalk_client.errors import InvalidAudio
from emotalk_client.tail import AudioTail
from emotalk_ensemble.timing import SAMPLE_RATE

PRIOR_S = 2.0
"""Seconds of average speech that count as heard before a stream starts, so that its first word, or the silence before
it, does not decide the loudness alone."""
PRIOR_VARIANCE = 0.1**2
"""Variance of average speech: 20 dB below full scale."""


class RunningStatistics:
    """Mean and variance of all that was spoken so far, and of :data:`PRIOR_S` seconds before it.

    They move by at most one part in ``1 + seconds / hop`` from window to window, so nothing jumps when they do.
    """

    def __init__(self) -> None:
        self._count = PRIOR_S * SAMPLE_RATE
        self._sum = 0.0
        self._squares = self._count * PRIOR_VARIANCE

    def push(self, samples: NDArray[np.float32]) -> None:
        """Hear ``samples`` [n] at 16 kHz."""
        wide = samples.astype(np.float64)
        self._count += len(wide)
        self._sum += float(wide.sum())
        self._squares += float(np.square(wide).sum())

    def value(self) -> NDArray[np.float32]:
        """[mean, population variance]."""
        mean = self._sum / self._count
        return np.array([mean, max(0.0, self._squares / self._count - mean * mean)], np.float32)


class SpokenAudio:
    """What a stream hears: its last seconds as mono 16 kHz, and the statistics of all of it.

    Args:
        rate: Hertz of what is pushed.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._resampler = Resampler(rate)
        self._pushed = 0
        self.tail = AudioTail()
        self.statistics = RunningStatistics()

    def push(self, block: NDArray[Any]) -> int:
        """Add ``block`` [n] or [n, channels]; returns how many samples at 16 kHz that gave.

        Raises:
            InvalidAudio: the block is no audio.
            AudioNotFinite, AudioOutOfRange: its samples are none.
        """
        if block.ndim not in (1, 2) or (block.ndim == 2 and not 1 <= block.shape[1] <= MAX_CHANNELS):
            raise InvalidAudio(f"the block has shape {list(block.shape)}; accepted: [samples] or [samples, channels]")
        samples = scaled(block)
        mono = samples if samples.ndim == 1 else samples.mean(axis=1)
        check_values(mono, self._pushed)
        self._pushed += len(mono)
        return self._add(self._resampler.push(mono))

    def flush(self) -> int:
        """Say that this was all; returns how many samples were still to come."""
        return self._add(self._resampler.flush())

    def _add(self, samples: NDArray[np.float32]) -> int:
        if len(samples):
            self.statistics.push(samples)
            self.tail.push(samples)
        return len(samples)
