"""Any rate into 16 kHz, and a voice's into that of a stream."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from emotalk_client.errors import InvalidAudio
from emotalk_contract.timing import SAMPLE_RATE

MAX_RATE = 768_000
"""Hertz; what the fastest converters give."""


def at_rate(samples: NDArray[np.int16], rate: int, wanted: int) -> NDArray[np.int16]:
    """Return ``samples`` [n], mono of full scale at ``rate`` Hertz, at ``wanted`` Hertz: ceil(n * wanted / rate) of
    them.
    """
    if rate == wanted or not len(samples):
        return samples
    found = soxr.resample(samples.astype(np.float32), rate, wanted, quality="HQ")
    count = -(-len(samples) * wanted // rate)
    found = np.pad(found[:count], (0, max(0, count - len(found))))
    full = np.iinfo(np.int16)
    rounded: NDArray[np.int16] = np.clip(np.rint(found), full.min, full.max).astype(np.int16)
    return rounded


class Resampler:
    """Mono samples at ``rate`` Hertz into 16 kHz. No I/O: push blocks of any size, take what is ready, flush.

    Everything that comes out, joined, has exactly ceil(n * 16000 / rate) samples, and is to the bit what librosa's
    ``load(sr=16000)`` gives (soxr HQ, the last sample made up with a zero where soxr rounds down).

    Raises:
        InvalidAudio: ``rate`` is not a rate.
    """

    def __init__(self, rate: int) -> None:
        if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or not 1 <= rate <= MAX_RATE:
            raise InvalidAudio(f"sample_rate is {rate!r}; accepted: an integer in 1..{MAX_RATE} Hertz")
        self._rate = int(rate)
        self._taken = 0
        self._given = 0
        same = self._rate == SAMPLE_RATE
        self._soxr = None if same else soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples that are final now that ``samples`` [n] have come, perhaps none."""
        self._taken += len(samples)
        return self._out(samples if self._soxr is None else self._soxr.resample_chunk(samples))

    def flush(self) -> NDArray[np.float32]:
        """Return what is left at the end."""
        wanted = -(-self._taken * SAMPLE_RATE // self._rate) - self._given
        if self._soxr is None or not self._taken:
            return np.zeros(0, np.float32)
        rest = self._soxr.resample_chunk(np.zeros(0, np.float32), last=True)[:wanted]
        return self._out(np.pad(rest, (0, wanted - len(rest))))

    def _out(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self._given += len(samples)
        return samples
