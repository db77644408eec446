"""The photograph on the skin: texture places and colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import Base
from emotalk_avatar.fitting.layers import Layer
from emotalk_avatar.fitting.plane import inside_by, smoothstep
from emotalk_avatar.fitting.surface import Surface
from emotalk_contract.arkit import BLENDSHAPES

WET = (0.72, 0.50, 0.50)
"""Factors (linear) of the lips' inner sides: the lips' border in their own shade."""
CAVITY = (0.085, 0.03, 0.03)
"""Of the mouth's inside."""
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")
"""Blendshapes that the lids' own layer follows, and the skin does not."""
LID_RIM = 0.012
"""Of the eyes' distance: skin that lies this far within an eye is not drawn."""
LIP_MARGIN = 0.004
"""Of the eyes' distance: so far from the line between closed lips the texture of their inner sides is taken."""
CONTACT, CONTACT_M = 0.42, 0.0024
"""Factor (linear) of lips where they touch, and the metres over which it fades: an open mouth does not show it."""


def layer(base: Base, picture: Picture, face: Face, surface: Surface) -> Layer:
    """Return the skin within the face's outline."""
    places = placed(base, picture, face, surface)
    colours = np.ones((len(places), 4))
    if surface.open:
        colours[:, :3] *= _contact(base)[:, None]
    colours[base.lips & ~base.seen, :3] *= WET
    colours[base.cavity, :3] = CAVITY
    moves = {name: surface.moves[i] for i, name in enumerate(BLENDSHAPES) if name not in LIDS}
    corners = base.skin.triangles
    inner = (base.cavity | base.lips)[corners].all(axis=1)
    kept = (surface.own[corners].max(axis=1) > 0) & (_front(base.skin.points[corners]) | inner)
    kept &= ~_in_eyes(face, surface)[corners].any(axis=1)
    return Layer("face", surface.rest, corners, places, colours=colours, moves=moves).part(corners[kept])


def _in_eyes(face: Face, surface: Surface) -> NDArray[np.bool_]:
    """[V]: skin that the picture shows within an eye, the lids' rims: there, the eye itself is drawn."""
    inside = np.full(len(surface.shown), -np.inf)
    for side, upper in mesh478.EYE_UPPER.items():
        opening = face.landmarks[[*upper, *mesh478.EYE_LOWER[side][-2:0:-1]], :2].astype(np.float64)
        inside = np.maximum(inside, inside_by(surface.shown[:, :2], opening))
    return inside > LID_RIM * surface.eyes


def _front(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[T]: triangles [T, 3, 3] that face the camera (which is at negative z, y down)."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    facing: NDArray[np.bool_] = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0
    return facing


def placed(base: Base, picture: Picture, face: Face, surface: Surface) -> NDArray[np.float64]:
    """[V, 2] in the photograph: where it shows a vertex, and for what it hides, the border of that lip."""
    places = surface.shown[:, :2].copy()
    hidden = base.cavity | (base.lips & ~base.seen)
    mouth = base.lips | base.cavity
    for lip in (base.lower, ~base.lower):
        seen = np.flatnonzero(base.lips & base.seen & lip)
        unseen = np.flatnonzero(mouth & hidden & lip)
        apart = np.linalg.norm(base.skin.points[unseen, None] - base.skin.points[seen], axis=-1)
        places[unseen] = surface.shown[seen[apart.argmin(axis=1)], :2]
    if not surface.open:
        places = _kept_off(base, face, surface, mouth, places)
    return places / [picture.width, picture.height]


def _contact(base: Base) -> NDArray[np.float64]:
    """[V]: shade of the lips towards the line where they touch."""
    gap = base.at_landmarks(base.skin.points)[list(mesh478.INNER_LIPS), :2]
    apart = np.abs(inside_by(base.skin.points[:, :2], gap))
    return np.where(base.lips, CONTACT + (1 - CONTACT) * smoothstep(apart, 0, CONTACT_M), 1.0)


def _kept_off(
    base: Base, face: Face, surface: Surface, mouth: NDArray[np.bool_], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``places`` with those near the gap between the lips moved out of it and its border, up or down."""
    gap = face.landmarks[list(mesh478.INNER_LIPS), :2].astype(np.float64)
    margin = LIP_MARGIN * surface.eyes
    at = np.flatnonzero(mouth)
    inside = inside_by(places[at], gap)
    # Three margins off nothing moves; inside, all of it and one margin more.
    push = np.where(inside <= 0, np.maximum(inside + 3 * margin, 0) / 3, inside + margin)
    places = places.copy()
    places[at, 1] += push * np.where(base.lower[at], 1, -1)
    return places
