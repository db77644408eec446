"""The sound as the UNet hears it: features of the audio encoder, 25 a second, and the sixteen around a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.renderers.mel import mel, windows
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_contract import renderers as facts
from emotalk_contract.timing import SAMPLE_RATE

MOST_AT_ONCE = 250
"""Features that are asked for together: ten seconds of mel windows in memory, not an hour."""


async def features_of(samples: NDArray[np.float32], models: RendererModels) -> NDArray[np.float32]:
    """Return what the audio encoder hears in ``samples`` (16 kHz, mono), [n, 512], 25 a second.

    The first and the last are there twice, as in the networks' training: feature i + 1 begins at picture i.
    """
    spectrogram = mel(samples)
    count = max(1, -(-len(samples) * facts.NETWORK_FPS // SAMPLE_RATE))
    parts = [
        await models.features(windows(spectrogram, min(MOST_AT_ONCE, count - first), first=first))
        for first in range(0, count, MOST_AT_ONCE)
    ]
    return np.concatenate([parts[0][:1], *parts, parts[-1][-1:]])


def around(features: NDArray[np.float32], pictures: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the sixteen ``features`` [n, 512] around each of ``pictures`` [m], [m, 16, 512].

    Eight before the picture's own, and seven after; zeros beyond the ends.
    """
    places = pictures[:, None] + np.arange(facts.FEATURE_WINDOW) - facts.FEATURES_BEFORE
    inside = (places >= 0) & (places < len(features))
    found = features[np.clip(places, 0, len(features) - 1)]
    return np.where(inside[..., None], found, np.float32(0))
