"""A face over time as it is drawn: at the video's rate, with life in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.animation import Animation
from emotalk_client.faces.life import SMALL, Life
from emotalk_client.faces.rotations import HEAD
from emotalk_contract.timing import FPS


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Faces, one a picture."""

    weights: NDArray[np.float32]
    """[F, 52] in ARKit's order."""
    head: NDArray[np.float32]
    """[F, 3] yaw, pitch and roll in radians."""


def shown(face: Animation, fps: float, life: Life = SMALL) -> Shown:
    """Return ``face`` at ``fps`` frames a second, with ``life`` in it.

    Life is a function of frames at 30 a second; at another rate it is what lies between them.

    Raises:
        InvalidRate: ``fps`` is out of range.
    """
    weights = face.resampled(fps).weights
    if life.still:
        return Shown(weights, np.zeros((len(weights), 3), np.float32))
    own = face.resampled(FPS).weights
    lived = life.of(own)
    if fps == FPS:
        return Shown(lived.weights, lived.rotations[:, HEAD])
    place = np.arange(len(weights)) * (FPS / fps)
    moved = np.clip(weights + _between(lived.weights - own, place), 0, 1)
    moved = np.where(moved == np.clip(weights, 0, 1), weights, moved)  # what life leaves alone stays as it is
    return Shown(moved.astype(np.float32), _between(lived.rotations[:, HEAD], place))


def _between(values: NDArray[np.float32], place: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``values`` [F, n] at ``place`` [G] among them."""
    place = np.minimum(place, len(values) - 1)
    before = place.astype(int)
    after = np.minimum(before + 1, len(values) - 1)
    share = (place - before)[:, None].astype(np.float32)
    mixed: NDArray[np.float32] = values[before] * (1 - share) + values[after] * share
    return mixed
