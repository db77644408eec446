"""Faces that never moved: more often a mistake in the sound than a wish."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPES

MOVED = 0.05
"""Range of a weight from which on it has moved; room noise stirs it by less."""
_MOUTH = [i for i, name in enumerate(BLENDSHAPES) if name.startswith(("jaw", "mouth", "tongue"))]


class Stillness:
    """Sees the frames of a clip. Blinks do not count as movement: only the mouth does."""

    def __init__(self) -> None:
        self.frames = 0
        self._least = np.full(len(_MOUTH), np.inf, np.float32)
        self._most = np.full(len(_MOUTH), -np.inf, np.float32)

    def push(self, weights: NDArray[np.float32]) -> None:
        """See ``weights`` [F, 52]."""
        if len(weights):
            mouth = weights[:, _MOUTH]
            self.frames += len(mouth)
            self._least = np.minimum(self._least, mouth.min(axis=0))
            self._most = np.maximum(self._most, mouth.max(axis=0))

    @property
    def still(self) -> bool:
        """True if there were frames and the mouth never moved."""
        return self.frames > 0 and float((self._most - self._least).max()) < MOVED
