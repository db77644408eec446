"""Changes to the spectra of a batch, once they are computed: bands that are empty, voices that are another's.

Both take and return log-mel spectra [B, 81, M] (80 bands, then the loudness, which stays as it is) and a
``numpy.random.Generator``; neither moves anything in time.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from emotalk_export.compact import MEL_BANDS

MASK_CHANCE, MASK_BANDS = 0.4, 14
"""Probability of emptying neighbouring mel bands, and how many at most (after SpecAugment's frequency masking)."""
EMPTY = (math.log(1e-5) + 6.0) / 3.0
"""Value of a band that holds nothing."""

MIX_CHANCE, LEAST_OWN = 0.4, 0.4
"""Probability that a voice is drawn towards another's, and how much of its own it keeps at least."""
LIVELY = 0.2
"""Mean deviation of a band over time from which there is a voice, and not a steady room."""


def mask_bands(spectra: Tensor, rng: np.random.Generator) -> Tensor:
    """Spectra with a run of bands emptied in some examples, in place."""
    for example in spectra:
        if rng.random() < MASK_CHANCE:
            width = int(rng.integers(2, MASK_BANDS + 1))
            first = int(rng.integers(0, MEL_BANDS - width))
            example[first : first + width] = EMPTY
    return spectra


def mix_voices(spectra: Tensor, rng: np.random.Generator) -> Tensor:
    """Spectra with the means and deviations of some examples' bands over time drawn towards another example's.

    So another voice, over another line, says the same (MixStyle, Zhou et al. 2021, on frequencies).
    """
    bands = spectra[:, :MEL_BANDS]
    mean, spread = bands.mean(-1, keepdim=True), bands.std(-1, keepdim=True) + 0.05
    lively = (spread.mean((1, 2)) > LIVELY).cpu().numpy()
    other = rng.permutation(len(bands))
    own = np.where(rng.random(len(bands)) < MIX_CHANCE, rng.uniform(LEAST_OWN, 1.0, len(bands)), 1.0)
    own[~(lively & lively[other])] = 1.0
    share = torch.from_numpy(own.astype(np.float32)).to(spectra.device)[:, None, None]
    mixed = (bands - mean) / spread * torch.lerp(spread[other], spread, share) + torch.lerp(mean[other], mean, share)
    changed = torch.where(share < 1, mixed.clamp(min=EMPTY), bands)
    return torch.cat([changed, spectra[:, MEL_BANDS:]], 1)
