"""A stream's audio: blocks of any rate and size into 16 kHz."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.arrays import check_shape, check_values, scaled
from emotalk_client.audio.mixing import Mixer, mixed
from emotalk_client.audio.notices import Notices
from emotalk_client.audio.resampler import Resampler
from emotalk_client.audio.tail import AudioTail
from emotalk_client.errors import InvalidAudio
from emotalk_contract.clip_statistics import PATCH, PATCH_HOP, PatchStatistics, RunningStatistics
from emotalk_contract.loudness import Leveller
from emotalk_contract.recipe import Normalisation
from emotalk_contract.timing import SAMPLE_RATE

PRIOR_S = 2.0
"""Seconds of average speech that count as heard before a stream starts, so that its first word, or the silence before
it, does not decide the loudness alone."""
PRIOR_VARIANCE = 0.1**2
"""Variance of average speech: 20 dB below full scale."""


PRIOR_CORRELATION = 0.9
"""Of neighbouring samples of average speech at 16 kHz; of those k apart, its k-th power."""


def spoken_statistics(normalisation: Normalisation) -> RunningStatistics:
    """Return a new counter of a stream's statistics, with :data:`PRIOR_S` seconds of average speech before it."""
    if normalisation != "patches":
        return SpokenStatistics()
    lag = np.abs(np.subtract.outer(np.arange(PATCH), np.arange(PATCH)))
    return PatchStatistics(PRIOR_S * SAMPLE_RATE / PATCH_HOP, PRIOR_VARIANCE * PRIOR_CORRELATION**lag)


class SpokenStatistics:
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
        """Return [mean, population variance]."""
        mean = self._sum / self._count
        return np.array([mean, max(0.0, self._squares / self._count - mean * mean)], np.float32)


class SpokenAudio:
    """The sound of a stream: its last seconds as mono 16 kHz, and the statistics of all of it.

    Blocks are kept as they come, and worked up together once somebody needs them: a block of 10 ms costs as much as one
    of a second. It makes no difference to what comes out.

    Args:
        rate: Hertz of what is pushed.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._resampler = Resampler(rate)
        self._mixer = Mixer(rate, held=1)
        self._notices = Notices()
        self._pushed = 0
        self._waiting: list[NDArray[np.float32]] = []
        self.tail = AudioTail()
        self.statistics: RunningStatistics | None = None
        self._leveller: Leveller | None = None

    def level(self) -> None:
        """From now on, level what is pushed, as the served model wants it: before the first push."""
        self._leveller = Leveller(held=1)

    def count(self, normalisation: Normalisation) -> None:
        """Keep :attr:`statistics` from now on, for a model of this normalisation: before the first push."""
        self.statistics = None if normalisation == "none" else spoken_statistics(normalisation)

    def checked(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """Return ``block`` [n] or [n, channels] as :meth:`push` takes it.

        Nothing is heard yet: of a block with a mistake in it, no part is.

        Raises:
            InvalidAudio: the block is not audio.
            AudioNotFinite, AudioOutOfRange: its samples are not sound.
        """
        if not isinstance(block, np.ndarray):
            raise InvalidAudio(
                f"the block is a {type(block).__name__}; accepted: an array (of raw PCM, np.frombuffer makes one)"
            )
        check_shape(block, "block")
        samples = scaled(block)
        check_values(mixed(samples), self._pushed)
        return samples

    @property
    def most(self) -> int:
        """Samples at 16 kHz of all that was pushed; those in the tail lag behind, and are never more."""
        return -(-self._pushed * SAMPLE_RATE // self.rate)

    def push(self, samples: NDArray[np.float32]) -> None:
        """Keep ``samples`` [n] or [n, channels], as :meth:`checked` gave them."""
        self._pushed += len(samples)
        self._waiting.append(samples)

    def work(self) -> None:
        """Work up what waits: what is ready goes into the tail."""
        waiting, self._waiting = self._waiting, []
        for _, alike in groupby(waiting, key=_channels):
            self._hear(self._mixer.push(np.concatenate(list(alike))))

    def flush(self) -> None:
        """Say that this was all."""
        self.work()
        self._hear(self._mixer.flush())
        self._add(self._resampler.flush())
        if self._leveller is not None:
            self._keep(self._leveller.flush())

    def _hear(self, mono: NDArray[np.float32]) -> None:
        if self._mixer.used_alone is not None:
            self._notices.warn(
                f"the channels of a stream cancel each other; channel {self._mixer.used_alone + 1} is used alone"
            )
        self._add(self._resampler.push(mono))

    def _add(self, samples: NDArray[np.float32]) -> None:
        self._keep(samples if self._leveller is None else self._leveller.push(samples))

    def _keep(self, samples: NDArray[np.float32]) -> None:
        if len(samples):
            self.tail.push(samples)
            if self.statistics is not None:
                self.statistics.push(samples)


def _channels(block: NDArray[np.float32]) -> tuple[int, ...]:
    """Return the shape of a sample: [] or [channels]."""
    return block.shape[1:]
