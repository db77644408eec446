"""Teeth and tongue behind the lips, in the lips' light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.drawn import teeth
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import Base, Piece
from emotalk_avatar.fitting.layers import TEETH, Layer
from emotalk_avatar.fitting.plane import luminance, sampled
from emotalk_avatar.fitting.surface import Surface, lip_middle
from emotalk_contract.arkit import BLENDSHAPES, INDEX

ENAMEL, TONGUE = (0.95, 0.90, 0.80), (0.62, 0.24, 0.23)
"""Linear colours in full light."""
LIGHT = (0.10, 1.6)
"""Light in a mouth, by the lips' luminance (encoded, 0..1): offset and factor."""
LIGHT_LIMITS = (0.14, 0.85)
LIT_M, DARK_M = 0.004, 0.034
"""Behind the front teeth: depths at which light begins to fade, and at which it is gone."""
LOWER_RISE_M, TONGUE_RISE_M = (0, -0.006, 0), (0, -0.007, -0.004)
"""By which an open jaw brings lower teeth and tongue nearer to the lip's border than the head's own are."""
ARCH = 0.94
"""Width of the teeth against the head's own: cheeks lie close to them."""


def layers(base: Base, picture: Picture, face: Face, surface: Surface) -> list[Layer]:
    """Return the tongue and the teeth."""
    light = _light(picture, face)
    upper = np.abs(base.teeth.moves[INDEX["jawOpen"]]).max(axis=1) < 1e-3
    rise = np.where(upper[:, None], 0, LOWER_RISE_M)
    return [
        _behind(
            base,
            surface,
            base.tongue,
            "tongue",
            TONGUE,
            light,
            np.broadcast_to(TONGUE_RISE_M, base.tongue.points.shape),
        ),
        _behind(base, surface, base.teeth, "teeth", ENAMEL, light, rise, teeth.places(base.teeth.points, upper)),
    ]


def _light(picture: Picture, face: Face) -> float:
    """Factor of the colours in the mouth."""
    lips = face.landmarks[:, :2].astype(np.float64)
    between = (lips[list(mesh478.OUTER_LIPS)] + lips[list(mesh478.INNER_LIPS)]) / 2
    seen = float(np.median(luminance(sampled(picture.pixels, between))))
    return float(np.clip(LIGHT[0] + LIGHT[1] * seen**1.5, *LIGHT_LIMITS))


def _behind(
    base: Base,
    surface: Surface,
    piece: Piece,
    name: str,
    colour: tuple[float, float, float],
    light: float,
    opened: NDArray[np.float64],
    places: NDArray[np.float64] | None = None,
) -> Layer:
    """Lay ``piece`` behind the lips: as far from their middle as in the head, and as wide as the mouth."""
    pose = surface.pose
    middle = lip_middle(base, pose.placed(base.skin.points))
    at = base.at_landmarks(pose.placed(base.skin.points))[list(mesh478.MOUTH_CORNER.values()), :2]
    rest = base.at_landmarks(surface.rest)[list(mesh478.MOUTH_CORNER.values()), :2]
    wide = float(np.linalg.norm(np.subtract(*rest)) / np.linalg.norm(np.subtract(*at)))
    points = pose.placed(piece.points) - middle
    points[:, 0] *= ARCH * min(1.0, wide)
    target = lip_middle(base, surface.rest)
    points += [*target[:2], middle[2]]
    moves = pose.moved(piece.moves)
    moves[INDEX["jawOpen"]] += pose.moved(opened)
    front = piece.points[:, 2].min()
    depth = np.clip((piece.points[:, 2] - front - LIT_M) / (DARK_M - LIT_M), 0, 1)
    shade = light * (1 - depth) ** 1.5
    painted = piece.colours / piece.colours.max(axis=0)
    colours = np.ones((len(points), 4))
    colours[:, :3] = np.array(colour) * painted * shade[:, None]
    return Layer(
        name,
        points,
        piece.triangles,
        np.zeros((len(points), 2)) if places is None else places,
        None if places is None else TEETH,
        colours,
        {blendshape: moves[i] for i, blendshape in enumerate(BLENDSHAPES)},
    )
