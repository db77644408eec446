"""``.npy``: weights [F, 52] float32 in EmoTalk order, 30 fps from 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emotalk_client.animation import Animation
from emotalk_ensemble.arkit import BLENDSHAPE_COUNT
from emotalk_ensemble.timing import timecodes


def write(animation: Animation, path: Path) -> None:
    """Write the weights."""
    with path.open("wb") as file:  # given a path, NumPy would add a suffix of its own to `.NPY`
        np.save(file, animation.weights)


def read(path: Path) -> Animation:
    """Read weights; ValueError if the array is no [F, 52]."""
    weights = np.load(path, allow_pickle=False)
    if weights.ndim != 2 or weights.shape[1] != BLENDSHAPE_COUNT:
        raise ValueError(f"the array has shape {list(weights.shape)}; accepted: [frames, {BLENDSHAPE_COUNT}]")
    return Animation(weights.astype(np.float32), timecodes(0, len(weights)))
