"""Channels into one, without those that cancel.

Theory of operation. The mean of channels is one voice, unless two of them carry it with opposite signs: a cable that is
wired wrongly, a widened stereo image. Then little or nothing is left. Channels that know nothing of each other leave
sum(energies) / channels^2 of energy in their mean; where a tenth of that or less is left, they cancel, and the
strongest is used alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.hops import Floats, HopFilter, Measures

CANCELLED = 0.1
"""Energy of the mean, relative to that of unrelated channels, below which they cancel."""
RESTORED = 0.3
"""The same, above which they do so no longer."""
HELD_HOPS = 250
"""Hops (5 s) of a clip that decide for its beginning."""

_HOPS_A_SECOND = 50
_MOST_HELD = 1 << 20
"""Samples of all channels together that are held back, at most."""
_MEMORY = 0.98
"""Of energies, from hop to hop: a second."""
_AUDIBLE = 1e-9
"""Mean square (-90 dB of full scale) below which there is nothing to decide by."""


def mixed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean [n] of the channels of ``samples`` [n] or [n, channels]."""
    if samples.ndim == 1:
        return samples
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is for check_values to refuse
        mean: NDArray[np.float32] = np.ascontiguousarray(samples).mean(axis=-1)
    return mean


class Mixer:
    """Mono out of any number of channels. No I/O: push blocks of any size, take what is ready, flush.

    Args:
        rate: Hertz.
        held: hops of 20 ms that are held back at the beginning; 1 for a live stream.
    """

    def __init__(self, rate: int, held: int = HELD_HOPS) -> None:
        self._hop = max(1, rate // _HOPS_A_SECOND)
        self._held = held
        self._channels = 1
        self._filter: _ChannelFilter | None = None
        self.used_alone: int | None = None
        """The channel, counted from 0, that was used alone because the others cancel it; None where none was."""

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples [m] that are ready now that ``samples`` [n] or [n, channels] have come."""
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        before = np.zeros(0, np.float32)
        if channels != self._channels:
            before = self.flush()
            self._channels = channels
            held = max(1, min(self._held, _MOST_HELD // (channels * self._hop)))
            self._filter = _ChannelFilter(channels, self._hop, held) if channels > 1 else None
        now = samples.reshape(-1) if self._filter is None else self._told(self._filter.push(samples))
        return np.concatenate([before, now]) if len(before) else now

    def flush(self) -> NDArray[np.float32]:
        """Return what is left at the end."""
        return np.zeros(0, np.float32) if self._filter is None else self._told(self._filter.flush())

    def _told(self, out: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.used_alone is None and self._filter is not None:
            self.used_alone = self._filter.chosen
        return out


class _ChannelFilter(HopFilter):
    """Two channels or more into one."""

    def __init__(self, channels: int, hop: int, held: int) -> None:
        super().__init__(hop, held)
        self._mean = (1 / channels,) * channels
        self._energies = np.zeros(channels + 1)
        """Of each channel, and of their mean."""
        self.chosen: int | None = None

    def _measured(self, hops: Floats) -> Measures:
        with np.errstate(over="ignore", invalid="ignore"):  # likewise
            wide = hops.astype(np.float64)
            both = np.concatenate([wide, wide.mean(axis=2, keepdims=True)], axis=2)
            energies: Measures = both.var(axis=1)
        return energies

    def _begin(self, measures: Measures) -> None:
        self._energies = measures.mean(axis=0) / (1 - _MEMORY)
        self._choose()

    def _decide(self, measure: list[float]) -> tuple[float, ...]:
        self._energies = _MEMORY * self._energies + np.array(measure)
        self._choose()
        return self._setting()

    def _choose(self) -> None:
        *each, mean = (self._energies * (1 - _MEMORY)).tolist()
        unrelated = sum(each) / len(each) ** 2
        if not unrelated * len(each) > _AUDIBLE:  # NaN fails too
            return
        if self.chosen is None and mean < CANCELLED * unrelated:
            self.chosen = int(np.argmax(each))
        elif self.chosen is not None and mean > RESTORED * unrelated:
            self.chosen = None

    def _setting(self) -> tuple[float, ...]:
        if self.chosen is None:
            return self._mean
        return tuple(float(channel == self.chosen) for channel in range(len(self._mean)))

    def _changed(self, hops: Floats, settings: NDArray[np.float64]) -> Floats:
        if (settings == self._mean).all():
            return mixed(hops)
        ramp = np.arange(1, hops.shape[1] + 1)[:, None] / hops.shape[1]
        drawn = settings[:-1, None, :] + (settings[1:, None, :] - settings[:-1, None, :]) * ramp
        with np.errstate(over="ignore", invalid="ignore"):  # likewise
            changed: Floats = (hops * drawn).sum(axis=2).astype(np.float32)
        return changed
