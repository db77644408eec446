"""The photograph behind the face, as a grid: it gives way where the resting face is smaller than the pictured one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import Base
from emotalk_avatar.fitting.layers import Layer, grid
from emotalk_avatar.fitting.plane import inside_by, smoothstep
from emotalk_avatar.fitting.surface import Surface

CELLS = 48
"""Along each side of the picture."""
GIVES = 0.22
"""Of the face's height: so far from the outline the backdrop gives way."""


def layer(base: Base, picture: Picture, face: Face, surface: Surface) -> Layer:
    """Return the grid."""
    size = np.array([picture.width, picture.height], np.float64)
    share = np.linspace(0, 1, CELLS + 1)
    places = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2)
    points = np.c_[places * size, np.full(len(places), surface.rest[:, 2].max() + surface.eyes)]
    points[:, :2] += _given(base, face, surface, points[:, :2])
    return Layer("backdrop", points, grid(CELLS + 1, CELLS + 1), places)


def _given(base: Base, face: Face, surface: Surface, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, 2]: by how much ``points`` [N, 2] go with the outline, from the picture to rest."""
    if not surface.neutral.any():
        return np.zeros_like(points)
    oval = list(mesh478.OVAL)
    outline = face.landmarks[oval, :2].astype(np.float64)
    moved = (base.at_landmarks(surface.rest) - base.at_landmarks(surface.shown))[oval, :2]
    apart = np.linalg.norm(points[:, None] - outline, axis=-1)
    weight = 1 / (apart + 0.02 * surface.eyes) ** 3
    weight /= weight.sum(axis=1, keepdims=True)
    tall = float(np.linalg.norm(face.landmarks[mesh478.CHIN, :2] - face.landmarks[mesh478.FOREHEAD, :2]))
    outside = np.maximum(-inside_by(points, outline), 0) / (GIVES * tall)
    given: NDArray[np.float64] = (weight @ moved) * (1 - smoothstep(outside, 0, 1))[:, None]
    return given
