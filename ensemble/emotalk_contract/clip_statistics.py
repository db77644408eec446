"""Statistics of a whole clip, which a window of it cannot see: added up block by block, in one pass.

Rule that this module guards: **a sum does not depend on how the sound was cut.** Blocks are merged as Chan, Golub &
LeVeque do (The American Statistician 37 (1983) 242), in float64; memory is one block.

Two kinds, as :data:`emotalk_contract.recipe.Normalisation` names them:

``clip``
    ``[mean, variance]`` of the samples.
``patches``
    Of the patches of 10 samples, 5 apart, that wav2vec 2.0's first convolution reads: their mean ``m`` [10] and a root
    ``R`` [10, 10] of their covariance, ``R Rᵀ = C``. A channel with kernel ``w`` then has, over the clip, the mean
    ``w·m`` and the population variance ``wᵀCw = |Rᵀw|²``. The root and not ``C`` travels: where neighbouring samples
    are nearly alike, ``wᵀCw`` is a small difference of large numbers, and float32 loses it; a sum of squares does not.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.recipe import Normalisation
from emotalk_contract.timing import CONV_KERNELS, CONV_STRIDES

PATCH = CONV_KERNELS[0]
"""10 samples: what the first convolution reads at a time."""
PATCH_HOP = CONV_STRIDES[0]
"""5 samples between two patches."""
PATCHES_WIDTH = PATCH + PATCH * PATCH
"""110 numbers: the mean, then the rows of the root."""
CLIP_WIDTH = 2
"""Mean and variance."""

_PIECE = 2**16 * PATCH_HOP
"""Samples that are widened to float64 at once: a long block is not held several times over."""


class RunningStatistics(Protocol):
    """A clip's statistics, so far."""

    def push(self, block: NDArray[np.float32]) -> None:
        """Add ``block`` [n], which follows on what came before."""

    def value(self) -> NDArray[np.float32]:
        """Return CLIP_STATS of all that was pushed; zeros before there is anything."""


class _Moments:
    """Mean [n] and covariance [n, n] of rows."""

    def __init__(self, width: int, count: float = 0, covariance: NDArray[np.float64] | None = None) -> None:
        """Start with ``count`` rows of mean 0 and ``covariance``."""
        self._count = count
        self._mean = np.zeros(width)
        self._products = np.zeros((width, width)) if covariance is None else count * covariance

    def push(self, rows: NDArray[np.float64]) -> None:
        """Add ``rows`` [m, n]."""
        new = len(rows)
        if not new:
            return
        mean = rows.mean(axis=0)
        centred = rows - mean
        gap = mean - self._mean
        self._products += centred.T @ centred + np.outer(gap, gap) * (self._count * new / (self._count + new))
        self._count += new
        self._mean = self._mean + gap * (new / self._count)

    @property
    def mean(self) -> NDArray[np.float64]:
        return self._mean

    @property
    def covariance(self) -> NDArray[np.float64]:
        return self._products / max(1, self._count)


class SampleStatistics:
    """``clip``: mean and population variance, [2]."""

    def __init__(self) -> None:
        self._moments = _Moments(1)

    def push(self, block: NDArray[np.float32]) -> None:
        """Add ``block`` [n]."""
        for piece in _pieces(block):
            self._moments.push(piece.astype(np.float64)[:, None])

    def value(self) -> NDArray[np.float32]:
        """Return ``[mean, variance]``."""
        return np.array([self._moments.mean[0], self._moments.covariance[0, 0]], np.float32)


class PatchStatistics:
    """``patches``: mean [10] and root of the covariance [10 * 10] of the first convolution's patches, [110].

    Args:
        prior_count: patches that count as heard before.
        prior_covariance: theirs, [10, 10]; their mean is 0.
    """

    def __init__(self, prior_count: float = 0, prior_covariance: NDArray[np.float64] | None = None) -> None:
        self._moments = _Moments(PATCH, prior_count, prior_covariance)
        self._rest = np.zeros(0)

    def push(self, block: NDArray[np.float32]) -> None:
        """Add ``block`` [n]; a patch that it does not complete waits for the next."""
        for piece in _pieces(block):
            samples = np.concatenate([self._rest, piece.astype(np.float64)])
            count = max(0, (len(samples) - PATCH) // PATCH_HOP + 1)
            if count:
                views = np.lib.stride_tricks.sliding_window_view(samples, PATCH)
                self._moments.push(views[: (count - 1) * PATCH_HOP + 1 : PATCH_HOP])
            self._rest = samples[count * PATCH_HOP :]

    def value(self) -> NDArray[np.float32]:
        """Return the mean and the rows of the root.

        The root is ``V sqrt(Λ)`` of ``C = V Λ Vᵀ``, which silence has, too (Cholesky's needs a definite ``C``).
        """
        squares, directions = np.linalg.eigh(self._moments.covariance)
        root = directions * np.sqrt(np.maximum(squares, 0.0))
        both: NDArray[np.float32] = np.concatenate([self._moments.mean, root.ravel()]).astype(np.float32)
        return both


def running_statistics(normalisation: Normalisation) -> RunningStatistics:
    """Return a new counter of what a model of this normalisation takes as CLIP_STATS (``none`` ignores it)."""
    return PatchStatistics() if normalisation == "patches" else SampleStatistics()


def statistics_width(normalisation: Normalisation) -> int:
    """Return the length of CLIP_STATS."""
    return PATCHES_WIDTH if normalisation == "patches" else CLIP_WIDTH


def statistics_of(audio: NDArray[np.float32], normalisation: Normalisation = "clip") -> NDArray[np.float32]:
    """Return the statistics of each clip in ``audio`` [..., samples] -> [..., width]."""
    clips = audio.reshape(-1, audio.shape[-1])
    rows = np.stack([_whole(clip, normalisation) for clip in clips])
    return rows.reshape(*audio.shape[:-1], rows.shape[-1])


def _whole(clip: NDArray[np.float32], normalisation: Normalisation) -> NDArray[np.float32]:
    counter = running_statistics(normalisation)
    counter.push(clip)
    return counter.value()


def _pieces(block: NDArray[Any]) -> list[NDArray[Any]]:
    return [block[start : start + _PIECE] for start in range(0, len(block), _PIECE)]
