"""A signal that is changed from what was heard of it before, in steps of fixed length.

Rule that this module guards: **how audio is cut never shows.** Decisions fall at fixed samples of the signal, from the
hops before them; a change is drawn over the hop that follows. Only the beginning is held back, so that there is
something to decide by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Measures = NDArray[np.float64]


class HopFilter(ABC):
    """Samples [n, ...] into samples [n]. No I/O: push blocks of any size, take what is ready, flush.

    Args:
        hop: samples of one step.
        held: steps at the beginning that are heard before the first is given; they share one decision.
    """

    def __init__(self, hop: int, held: int) -> None:
        self._hop = hop
        self._held = held
        self._pending: list[Floats] = []
        self._waiting = 0
        self._holding = True
        self._before: tuple[float, ...] = ()
        """The setting at the end of the last whole hop."""
        self._shown = 0
        """Samples at the beginning of ``_pending`` that were given already."""

    def push(self, samples: Floats) -> Floats:
        """Return the samples that are final now that ``samples`` have come, perhaps none."""
        self._pending.append(samples)
        self._waiting += len(samples)
        if self._holding and self._waiting < self._hop * self._held:
            return np.zeros(0, np.float32)
        return self._advance()

    def flush(self) -> Floats:
        """Return what is left at the end."""
        return self._advance() if self._holding and self._waiting else np.zeros(0, np.float32)

    @abstractmethod
    def _measured(self, hops: Floats) -> Measures:
        """Return what decisions are made of [H, k], for ``hops`` [H, hop, ...]."""

    @abstractmethod
    def _begin(self, measures: Measures) -> None:
        """Decide for the beginning, of which ``measures`` [H, k] were made."""

    @abstractmethod
    def _decide(self, measure: list[float]) -> tuple[float, ...]:
        """Return the setting (s numbers) of the next hop, now that another was heard, of which ``measure`` was made."""

    @abstractmethod
    def _setting(self) -> tuple[float, ...]:
        """Return the setting (s numbers) that is in force."""

    @abstractmethod
    def _changed(self, hops: Floats, settings: NDArray[np.float64]) -> Floats:
        """Return ``hops`` [H, hop, ...] changed to [H, hop]: hop h goes from ``settings[h]`` [s] to the next."""

    def _advance(self) -> Floats:
        block = np.concatenate(self._pending)
        opening = np.zeros(0, np.float32)
        if self._holding:
            self._holding = False
            held, block = block[: self._hop * self._held], block[self._hop * self._held :]
            self._begin(self._measured(_cut(held, min(self._hop, len(held)))))
            self._before = self._setting()
            opening = self._shaped(held, [self._before] * (-(-len(held) // self._hop) + 1))
        whole = _cut(block, self._hop)
        settings = [self._before, self._setting()]
        if len(whole):
            settings += [self._decide(measure) for measure in self._measured(whole).tolist()]
        changed = self._shaped(block, settings)[self._shown :]
        self._before = settings[len(whole)]
        left = block[len(whole) * self._hop :]
        self._pending, self._waiting, self._shown = [left], len(left), len(left)
        return np.concatenate([opening, changed]) if len(opening) else changed

    def _shaped(self, samples: Floats, settings: Sequence[tuple[float, ...]]) -> Floats:
        """``samples`` [n, ...] changed, the last hop perhaps not whole."""
        count = -(-len(samples) // self._hop)
        if not count:
            return np.zeros(0, np.float32)
        if missing := count * self._hop - len(samples):
            samples = np.concatenate([samples, np.zeros((missing, *samples.shape[1:]), np.float32)])
        changed = self._changed(_cut(samples, self._hop), np.array(settings[: count + 1]))
        return changed.reshape(-1)[: count * self._hop - missing]


def _cut(samples: Floats, hop: int) -> Floats:
    """The whole hops [H, hop, ...] of ``samples`` [n, ...]."""
    count = len(samples) // hop
    return samples[: count * hop].reshape(count, hop, *samples.shape[1:])
