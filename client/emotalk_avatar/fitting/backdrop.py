"""The photograph behind the face, as a grid that goes along with the face's outline.

The skin's border moves as the grid does, so that nobody sees where one ends and the other begins, and no edge of the
face lies before a neck that stands still.
"""

from __future__ import annotations

import numpy as np

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
    share = np.linspace(0, 1, CELLS + 1)
    places = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2)
    points = np.c_[places * [picture.width, picture.height], np.full(len(places), surface.rest[:, 2].max())]
    points[:, 2] += surface.eyes
    going = outline.weights(points[:, :2])
    moves = {}
    for name, move in zip(BLENDSHAPES, surface.moves, strict=True):
        moved = outline.moved(base, move)
        if np.linalg.norm(moved, axis=1).max() > MOVED * outline.tall:
            moves[name] = np.pad(going @ moved, [(0, 0), (0, 1)])
    points[:, :2] += going @ outline.moved(base, surface.rest - surface.shown)
    return Layer("backdrop", points, grid(CELLS + 1, CELLS + 1), places, moves=moves)
