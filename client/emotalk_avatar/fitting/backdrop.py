"""The photograph behind the face, as a grid that goes along with the face's outline.

The skin's border moves as the grid does, so that nobody sees where one ends and the other begins, and no edge of the
face lies before a neck that stands still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Picture
from emotalk_avatar.fitting.base import Base
from emotalk_avatar.fitting.layers import Layer, grid
from emotalk_avatar.fitting.surface import Surface
from emotalk_contract.arkit import BLENDSHAPES

CELLS = 48
"""Along each side of the picture."""
MOVED = 0.002
"""Of the face's height: a blendshape that moves the outline by less leaves the backdrop alone."""


def layer(base: Base, picture: Picture, surface: Surface) -> Layer:
    """Return the grid."""
    outline = surface.outline
    places, points, going = placed(base, picture, surface)
    moves = {}
    for name, move in zip(BLENDSHAPES, surface.moves, strict=True):
        moved = outline.moved(base, move)
        if np.linalg.norm(moved, axis=1).max() > MOVED * outline.tall:
            moves[name] = np.pad(going @ moved, [(0, 0), (0, 1)])
    return Layer("backdrop", points, grid(CELLS + 1, CELLS + 1), places, moves=moves)


def placed(
    base: Base, picture: Picture, surface: Surface
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return places [V, 2] in the texture, points [V, 3], and the shares [V, 36] of the outline's moves."""
    share = np.linspace(0, 1, CELLS + 1)
    places = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2)
    points = np.c_[places * [picture.width, picture.height], np.full(len(places), surface.rest[:, 2].max())]
    points[:, 2] += surface.eyes
    going = surface.outline.weights(points[:, :2])
    if surface.open:
        points[:, :2] += going @ surface.outline.moved(base, surface.rest - surface.shown)
    return places, points, going
