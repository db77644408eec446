"""The photograph on the skin: texture places, colours, and where it fades into the photograph behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import Base
from emotalk_avatar.fitting.layers import Layer
from emotalk_avatar.fitting.plane import inside_by
from emotalk_avatar.fitting.surface import Surface
from emotalk_contract.arkit import BLENDSHAPES

WET = (0.72, 0.50, 0.50)
"""Factors (linear) of the lips' inner sides: the lips' border in their own shade."""
CAVITY = (0.06, 0.022, 0.022)
"""Of the mouth's inside."""
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
"""Blendshapes that the lids' own layer follows, and the skin does not."""
FADE, FADE_BELOW, FADE_OVER = 0.015, 0.10, 0.05
"""Of the face's height: how far outside its outline the skin ends, that at the chin, and over how much it fades."""
LIP_MARGIN = {True: 0.022, False: 0.010}
"""Of the eyes' distance, by an open mouth: so far from what is seen between the lips their texture is taken."""
BACK = -0.05


def layers(base: Base, picture: Picture, face: Face, surface: Surface) -> list[Layer]:
    """Return the skin in two layers: the opaque one, and the rim that fades."""
    hidden = base.cavity | (base.lips & ~base.seen)
    size = np.array([picture.width, picture.height])
    places = _places(base, face, surface, hidden)
    colours = np.ones((len(places), 4))
    colours[base.lips & ~base.seen, :3] = WET
    colours[base.cavity, :3] = CAVITY
    colours[:, 3] = np.where(hidden, 1, _opacity(base, face, surface))
    moves = {name: surface.moves[i] for i, name in enumerate(BLENDSHAPES) if name not in LIDS}
    whole = Layer("face", surface.rest, base.skin.triangles, places / size, colours=colours, moves=moves)
    corners = base.skin.triangles
    opacity = colours[corners, 3]
    inner = (base.cavity | base.lips)[corners].all(axis=1)
    kept = (opacity.max(axis=1) > 0) & (_front(base.skin.points[corners]) | inner)
    full = opacity.min(axis=1) >= 1
    return [
        whole.part(corners[kept & full], "face", blended=False),
        whole.part(corners[kept & ~full], "rim", blended=True),
    ]


def _front(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[T]: triangles [T, 3, 3] that face the camera (which is at negative z, y down)."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    facing: NDArray[np.bool_] = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0
    return facing


def _opacity(base: Base, face: Face, surface: Surface) -> NDArray[np.float64]:
    """[V]: 1 within the face's outline, 0 a little outside of it; farther below the chin."""
    outline = face.landmarks[list(mesh478.OVAL), :2].astype(np.float64)
    top, chin = face.landmarks[[mesh478.FOREHEAD, mesh478.CHIN], :2].astype(np.float64)
    tall = float(np.linalg.norm(chin - top))
    down = (chin - top) / tall
    below = np.clip(((surface.shown[:, :2] - chin) @ down / tall + FADE_BELOW) / FADE_BELOW, 0, 1)
    reach = (FADE + below * FADE_BELOW) * tall
    opacity: NDArray[np.float64] = np.clip(
        (inside_by(surface.shown[:, :2], outline) + reach) / (FADE_OVER * tall), 0, 1
    )
    opacity[base.facing < BACK] = 0
    return opacity


def _places(base: Base, face: Face, surface: Surface, hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[V, 2] pixels of the photograph: where it shows a vertex, and for what it hides, the border of that lip."""
    places = surface.shown[:, :2].copy()
    mouth = base.lips | base.cavity
    for lip in (base.lower, ~base.lower):
        seen = np.flatnonzero(base.lips & base.seen & lip)
        unseen = np.flatnonzero(mouth & hidden & lip)
        apart = np.linalg.norm(base.skin.points[unseen, None] - base.skin.points[seen], axis=-1)
        places[unseen] = surface.shown[seen[apart.argmin(axis=1)], :2]
    return _kept_off(base, face, surface, mouth, places)


def _kept_off(
    base: Base, face: Face, surface: Surface, mouth: NDArray[np.bool_], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``places`` with those near the gap between the lips moved out of it and its border, up or down."""
    gap = face.landmarks[list(mesh478.INNER_LIPS), :2].astype(np.float64)
    margin = LIP_MARGIN[surface.open] * surface.eyes
    at = np.flatnonzero(mouth)
    inside = inside_by(places[at], gap)
    # Three margins off nothing moves; inside, all of it and one margin more.
    push = np.where(inside <= 0, np.maximum(inside + 3 * margin, 0) / 3, inside + margin)
    places = places.copy()
    places[at, 1] += push * np.where(base.lower[at], 1, -1)
    return places
