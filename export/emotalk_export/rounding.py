"""Matrices rounded to int8 so that their products, and not their numbers, stay what they were.

Theory of operation. Rounding a weight to the nearest step errs in each by itself, while what a layer takes is far from
independent from channel to channel. GPTQ (arXiv 2210.17323, sections 3.2 and 3.3) rounds row after row, and lets the
rows that are still to come make good what each rounding did to the product: the change that does so with least square
error follows from the inverse of the inputs' second moment ``H = Σ xᵀx``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LARGEST = 127
"""Of an int8 weight: symmetric, so that zero is zero."""
DAMPING = 0.01
"""Share of the mean of H's diagonal that is added to all of it: inputs may be fewer than channels."""
BLOCK = 128
"""Rows after which all others are brought up to date; changes the speed only."""


def nearest(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``weight`` [in, out] as int8 [in, out] and the scale [out] of each of its columns."""
    scale = (np.abs(weight).max(0) / LARGEST).astype(np.float32)
    scale[scale == 0] = 1
    return np.round(weight / scale).astype(np.int8), scale


def fitted(weight: NDArray[np.float32], moment: Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The same, fitted to inputs whose second moment is ``moment`` [in, in], float32."""
    _, scale = nearest(weight)
    step = torch.from_numpy(scale)
    wide = moment.double()
    wide = wide + DAMPING * float(wide.diagonal().mean().clamp(min=1e-12)) * torch.eye(len(wide), dtype=torch.double)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(wide))
    factor = torch.linalg.cholesky(inverse, upper=True).float()
    left = torch.from_numpy(weight).clone()
    whole = torch.zeros_like(left)
    for begin in range(0, len(left), BLOCK):
        end = min(begin + BLOCK, len(left))
        near, errors = factor[begin:end, begin:end], torch.zeros(end - begin, left.shape[1])
        for i in range(end - begin):
            row = left[begin + i]
            whole[begin + i] = torch.clamp(torch.round(row / step), -LARGEST, LARGEST)
            errors[i] = (row - whole[begin + i] * step) / near[i, i]
            left[begin + i : end] -= near[i, i:].unsqueeze(1) * errors[i]
        left[end:] -= factor[begin:end, end:].T @ errors
    return whole.numpy().astype(np.int8), scale
