"""``.npy``: weights [F, 52] float32 in EmoTalk order, and nothing else: the rate is the reader's to know."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emotalk_client.faces.track import Track
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.timing import FPS


def write(track: Track, path: Path) -> None:
    """Write the weights."""
    with path.open("wb") as file:  # given a path, NumPy would add a suffix of its own to `.NPY`
        np.save(file, track.weights)


def read(path: Path, fps: float | None = None) -> Track:
    """Read weights, at ``fps`` (default 30) from 0; ValueError if the array is no [F, 52]."""
    weights = np.load(path, allow_pickle=False)
    if weights.ndim != 2 or weights.shape[1] != BLENDSHAPE_COUNT:
        raise ValueError(f"the array has shape {list(weights.shape)}; accepted: [frames, {BLENDSHAPE_COUNT}]")
    rate = fps or FPS
    return Track(weights.astype(np.float32), np.arange(len(weights)) / rate, rate)
