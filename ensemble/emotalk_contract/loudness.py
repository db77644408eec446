"""Quiet speech made louder, and an offset taken away, for a model that does not do so itself.

Rule that this module guards: **ordinary speech is left as it is, to the bit**, and what lies at rest stays at rest.
What is changed depends on the sound before it alone (at the beginning of a clip, on its first five seconds), so that
windows, live streams and whole clips are given the same sound.

Theory of operation. Sound is measured in hops of 20 ms.

- Offset: the weighted mean of the hops' means, where a hop counts as 1 / its variance, so that pauses tell it best;
  forgotten in about a second. It is subtracted where it is larger than ``LEAST_OFFSET`` and than five times its own
  standard error.
- Loudness: the power over 100 ms, of hops that stand out of the softest moment of the last three seconds. The upper
  tenth of three seconds of such hops is how loud somebody speaks. Speech below ``LEAST_SPEECH`` is raised to it, by at
  most ``MOST_GAIN``, and never so far that a peak passes ``MOST_PEAK``. A steady noise stands out of nothing, and what
  is below ``LEAST_SOUND`` is not raised.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.hops import Floats, HopFilter, Measures
from emotalk_contract.timing import SAMPLE_RATE

HOP = SAMPLE_RATE // 50
"""Samples of 20 ms."""
SLICE = SAMPLE_RATE // 200
"""Samples of 5 ms: power is the variance within them, so that rumble (below about 100 Hz) is not taken for speech."""
HELD_HOPS = 250
"""Hops (5 s) of a clip that are heard before its first sample is given."""

LEAST_SPEECH = 10**-2.9
"""Mean square (-29 dB of full scale) over 100 ms that speech has, at its loudest; the bundled model hears speech below
it as quiet, and moves less."""
LEAST_SOUND = 10**-6.4
"""Mean square (-64 dB) of the softest sound that may be speech."""
MOST_GAIN = 10**1.6
"""32 dB."""
MOST_PEAK = 0.25
"""Amplitude above which nothing is raised."""
LEAST_OFFSET = 1e-4
"""Offset (-80 dB) that no model hears."""

_SMOOTHED_HOPS = 5
_RECENT_HOPS = 150
"""Three seconds."""
_LEAST_HOPS = 10
"""Hops of speech (0.2 s) without which nothing is raised."""
_STANDS_OUT = 10**0.8
"""Power (8 dB) of speech over the softest moment."""
_LOUD_SHARE = 0.9
_ATTACK = 0.25
"""A moment 6 dB louder than all that lowers the gain at once."""
_RISE = 10**0.1
"""The most that a gain grows from hop to hop: 2 dB."""
_MEMORY = 0.98
"""Of the offset, from hop to hop: a second."""
_QUANTUM = 1e-8
"""Variance of what has none: a hop of constant samples does not count without limit."""
_SURE = 25.0
"""Squared: five standard errors."""


class Leveller(HopFilter):
    """A clip or stream of mono 16 kHz samples, levelled.

    Args:
        held: hops that are held back at the beginning; 1 for a live stream, which then settles in the first half
            second of speech.
    """

    def __init__(self, held: int = HELD_HOPS) -> None:
        super().__init__(HOP, held)
        self._offset = _Offset()
        self._loudness = _Loudness()
        self._peak = 0.0

    def _measured(self, hops: Floats) -> Measures:
        wide = hops.astype(np.float64)
        slices = max(1, hops.shape[1] // SLICE)
        fine = wide[:, : hops.shape[1] // slices * slices].reshape(len(hops), slices, -1)
        return np.stack([wide.mean(axis=1), wide.var(axis=1), fine.var(axis=2).mean(axis=1)], axis=1)

    def _begin(self, measures: Measures) -> None:
        for mean, variance, _ in measures.tolist():
            self._offset.hear(mean, variance)
        self._loudness.begin(measures[:, 2].tolist())

    def _decide(self, measure: list[float]) -> tuple[float, ...]:
        mean, variance, power = measure
        self._offset.hear(mean, variance)
        self._loudness.hear(power)
        return self._setting()

    def _setting(self) -> tuple[float, ...]:
        return self._offset.value, self._loudness.gain

    def _changed(self, hops: Floats, settings: NDArray[np.float64]) -> Floats:
        if not settings[:, 0].any() and (settings[:, 1] == 1).all():
            self._peak = float(np.abs(hops[-1]).max())
            return hops
        ramp = np.arange(1, self._hop + 1) / self._hop
        drawn = settings[:-1, None, :] + (settings[1:, None, :] - settings[:-1, None, :]) * ramp[:, None]
        level = hops - drawn[..., 0]
        peaks = np.abs(level).max(axis=1)
        before = np.concatenate([[self._peak], peaks[:-1]])
        peak = np.maximum(np.maximum.accumulate(np.abs(level), axis=1), before[:, None])
        most = np.maximum(1.0, MOST_PEAK / np.maximum(peak, 1e-9))
        self._peak = float(peaks[-1])
        changed: Floats = (level * np.minimum(drawn[..., 1], most)).astype(np.float32)
        return changed


def levelled(audio: Floats) -> Floats:
    """Return the clip ``audio`` [n] levelled, [n]."""
    leveller = Leveller()
    return np.concatenate([leveller.push(audio), leveller.flush()])


class _Offset:
    """The level about which a signal moves, 0 where it is not clear."""

    def __init__(self) -> None:
        self.value = 0.0
        self._weight = self._weights_squared = self._means = self._squares = self._variances = 0.0

    def hear(self, mean: float, variance: float) -> None:
        """Another hop has ``mean`` and ``variance``."""
        weight = 1 / (variance + _QUANTUM)
        self._weight = _MEMORY * self._weight + weight
        self._weights_squared = _MEMORY * _MEMORY * self._weights_squared + weight * weight
        self._means = _MEMORY * self._means + weight * mean
        self._squares = _MEMORY * self._squares + weight * mean * mean
        self._variances = _MEMORY * self._variances + weight * variance
        offset = self._means / self._weight
        spread = max(0.0, self._squares / self._weight - offset * offset)
        hops = self._weight * self._weight / self._weights_squared
        error = (spread + self._variances / self._weight / hops) / hops
        sure, least = (_SURE, LEAST_OFFSET) if self.value == 0 else (_SURE / 4, LEAST_OFFSET / 2)
        self.value = offset if abs(offset) > least and offset * offset > sure * error else 0.0


class _Loudness:
    """The loudness of speech, and the gain that it takes."""

    def __init__(self) -> None:
        self.gain = 1.0
        self._powers: deque[float] = deque(maxlen=_SMOOTHED_HOPS)
        self._heard = 0
        self._softest: deque[tuple[int, float]] = deque()
        """Hops, and their levels, that may yet be the softest: rising."""
        self._speech: deque[float] = deque()
        self._sorted: list[float] = []

    def begin(self, powers: list[float]) -> None:
        """Hear the beginning of a clip, and find the gain that suits all of it."""
        smooth = [self._smoothed(power) for power in powers]
        softest = min(smooth)
        for level in smooth:
            self._soften(level)
            if self._speaks(level, softest):
                self._remember(level)
        self.gain = self._wanted(0.0)

    def hear(self, power: float) -> None:
        """Another hop has the mean square ``power``."""
        level = self._smoothed(power)
        if self._speaks(level, self._soften(level)):
            self._remember(level)
        self.gain = min(self._wanted(level), self.gain * _RISE)

    def _smoothed(self, power: float) -> float:
        self._powers.append(power)
        return sum(self._powers) / len(self._powers)  # anew each time: a running sum would never forget its errors

    def _soften(self, level: float) -> float:
        """Return the softest level of late, now that ``level`` is the last."""
        while self._softest and self._softest[-1][1] >= level:
            self._softest.pop()
        self._softest.append((self._heard, level))
        self._heard += 1
        if self._softest[0][0] <= self._heard - 1 - _RECENT_HOPS:
            self._softest.popleft()
        return self._softest[0][1]

    @staticmethod
    def _speaks(level: float, softest: float) -> bool:
        return level > LEAST_SOUND and level > _STANDS_OUT * softest

    def _remember(self, level: float) -> None:
        if len(self._speech) == _RECENT_HOPS:
            del self._sorted[bisect_left(self._sorted, self._speech.popleft())]
        self._speech.append(level)
        insort(self._sorted, level)

    def _wanted(self, now: float) -> float:
        if len(self._speech) < _LEAST_HOPS:
            return 1.0
        loud = max(self._sorted[int(_LOUD_SHARE * len(self._sorted))], now * _ATTACK)
        return 1.0 if loud >= LEAST_SPEECH else min(MOST_GAIN, math.sqrt(LEAST_SPEECH / loud))
