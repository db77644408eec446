"""The inputs of the goldens: seeded noise and a picture of the project's head, the same wherever they are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emotalk_contract import avatar

SEED = 13
NOISY = 2
"""Inputs of noise for each model, beside one of the picture."""


def inputs(picture: Path) -> dict[str, NDArray[np.float32]]:
    """Return the inputs [3, ...] of each model, by its name.

    Args:
        picture: 256 by 256 pixels, filled by a face.
    """
    generator = np.random.default_rng(SEED)
    with Image.open(picture) as image:
        face = np.asarray(image.convert("RGB"), np.float32)
    side = avatar.DETECTOR_SIDE
    small = face.reshape(side, 2, side, 2, 3).mean(axis=(1, 3), dtype=np.float32)
    large_noise = generator.random((NOISY, *face.shape), np.float32)
    small_noise = generator.random((NOISY, *small.shape), np.float32)
    points = generator.random((NOISY + 1, avatar.EXPRESSION_POINTS, 2), np.float32)
    return {
        avatar.FACE_DETECTOR.name: np.concatenate([small_noise * 2 - 1, small[None] / 127.5 - 1]),
        avatar.FACE_LANDMARKS.name: np.concatenate([large_noise, face[None] / 255]),
        avatar.FACE_BLENDSHAPES.name: points * avatar.LANDMARKS_SIDE,
    }
