"""The photograph's own eyes behind the lids' opening, and the lids that close over them.

A lid is a layer of its own, folded into a line above the lashes while the eye is open: rest is the photograph, and
nothing of it (brows, glasses) moves in a blink.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.drawn import lids
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.layers import LIDS, PHOTOGRAPH, Layer, grid
from emotalk_avatar.fitting.plane import Points, resampled
from emotalk_avatar.fitting.surface import Surface

SIDES = ("Right", "Left")
MARGIN = 1.25
"""The eye behind the lids is this much larger than their opening."""
BEHIND, BEFORE = 0.12, 0.02
"""Of the eyes' distance: the eye lies behind the lids' border, and a closed lid before it."""
AROUND = 0.62
"""Of the eye's width: skin this near to the eye's middle counts as its surroundings."""
COLUMNS, ROWS, LASH_ROWS = 24, 10, 4
FOLD = 0.06
"""Of the eye's width: the fold lies this much above the border, over the lashes' roots."""
SAG = 0.03
"""Of the eye's width: a closed lid's border lies this much below that of the lower lid."""
LASH = 0.13
"""Of the eye's width: length of a lash."""
LOOK = 0.085
"""Of the eye's width: by which a look at weight 1 moves the iris."""


def layers(picture: Picture, face: Face, surface: Surface) -> list[Layer]:
    """Return the eyes, and the lids."""
    return [_eyes(picture, face, surface), _lids(face, surface)]


def textures(picture: Picture, face: Face) -> NDArray[np.uint8]:
    """RGBA of both lids, the right one on the left."""
    return np.concatenate([lids.texture(picture, face, side, _fold(face, side)) for side in SIDES], axis=1)


def _curves(face: Face, side: str) -> tuple[Points, Points, float]:
    """Upper and lower border from the outer corner to the inner, and the eye's width."""
    upper = face.landmarks[list(mesh478.EYE_UPPER[side]), :2].astype(np.float64)
    lower = face.landmarks[list(mesh478.EYE_LOWER[side]), :2].astype(np.float64)
    return upper, lower, float(np.linalg.norm(upper[-1] - upper[0]))


def _up(face: Face) -> NDArray[np.float64]:
    """[2]: the unit vector from the chin to the forehead."""
    top, chin = face.landmarks[[mesh478.FOREHEAD, mesh478.CHIN], :2].astype(np.float64)
    up: NDArray[np.float64] = (top - chin) / np.linalg.norm(top - chin)
    return up


def _fold(face: Face, side: str) -> Points:
    """[25, 2]: where the lid is folded."""
    upper, _, wide = _curves(face, side)
    along = np.linspace(0, 1, COLUMNS + 1)
    raised = FOLD * wide * np.sin(np.pi * along)[:, None] ** 0.5
    fold: Points = resampled(upper, COLUMNS + 1) + raised * _up(face)
    return fold


def _depths(surface: Surface, upper: Points, lower: Points, wide: float) -> tuple[float, float]:
    """Return the least and the greatest depth of the skin around an eye, pixels."""
    middle = np.concatenate([upper, lower]).mean(axis=0)
    around = np.linalg.norm(surface.shown[:, :2] - middle, axis=1) < AROUND * wide
    front = around & (surface.shown[:, 2] < np.median(surface.shown[around, 2]) + 0.5 * wide)
    return float(surface.shown[front, 2].min()), float(surface.shown[front, 2].max())


def _eyes(picture: Picture, face: Face, surface: Surface) -> Layer:
    """Rings around each iris: what is looked at moves the iris, and not the rim."""
    points: list[NDArray[np.float64]] = []
    triangles: list[NDArray[np.int64]] = []
    shares: list[NDArray[np.float64]] = []
    looks: dict[str, list[NDArray[np.float64]]] = {}
    start = 0
    for side in SIDES:
        upper, lower, wide = _curves(face, side)
        rim = np.concatenate([upper, lower[-2:0:-1]])
        middle = face.landmarks[mesh478.IRIS[side][0], :2].astype(np.float64)
        rim = rim.mean(axis=0) + (rim - rim.mean(axis=0)) * MARGIN
        depth = _depths(surface, upper, lower, wide)[1] + BEHIND * surface.eyes
        rings = [0.35, 0.7, 1.0]
        place = np.concatenate([middle[None], *[middle + (rim - middle) * ring for ring in rings]])
        count = len(rim)
        around = np.arange(count)
        fan = np.stack([np.zeros(count, int), 1 + around, 1 + (around + 1) % count], axis=1)
        bands = [
            np.concatenate(
                [
                    np.stack([inner + around, outer + around, outer + (around + 1) % count], axis=1),
                    np.stack([inner + around, outer + (around + 1) % count, inner + (around + 1) % count], axis=1),
                ]
            )
            for inner, outer in ((1, 1 + count), (1 + count, 1 + 2 * count))
        ]
        triangles.append(np.concatenate([fan, *bands]) + start)
        points.append(np.c_[place, np.full(len(place), depth)])
        stays = np.concatenate([[1.0], np.full(count, 1.0), np.full(count, 0.45), np.zeros(count)])
        up, across = _up(face), (upper[-1] - upper[0]) / wide
        for look, way in (("Up", up), ("Down", -up), ("In", across), ("Out", -across)):
            moved = np.zeros((len(place), 3))
            moved[:, :2] = stays[:, None] * way * LOOK * wide
            looks[f"eyeLook{look}{side}"] = [np.zeros((start, 3)), moved]
        shares.append(place)
        start += len(place)
    size = np.array([picture.width, picture.height])
    moves = {
        name: np.concatenate([*parts, np.zeros((start - sum(map(len, parts)), 3))]) for name, parts in looks.items()
    }
    return Layer(
        "eyes",
        np.concatenate(points),
        np.concatenate(triangles),
        np.concatenate(shares) / size,
        PHOTOGRAPH,
        moves=moves,
    )


def _lids(face: Face, surface: Surface) -> Layer:
    points, places, moves = [], [], {}
    triangles = grid(ROWS + LASH_ROWS + 1, COLUMNS + 1)
    each = (ROWS + LASH_ROWS + 1) * (COLUMNS + 1)
    along = np.linspace(0, 1, COLUMNS + 1)
    for number, side in enumerate(SIDES):
        upper, lower, wide = _curves(face, side)
        fold, up = _fold(face, side), _up(face)
        taper = np.sin(np.pi * along)[:, None] ** 0.5
        border = resampled(lower, COLUMNS + 1) - up * SAG * wide * taper
        lid = np.linspace(0, 1, ROWS + 1)[:, None, None]
        lash = np.linspace(0, 1, LASH_ROWS + 1)[1:, None, None]
        closed = np.concatenate([fold + (border - fold) * lid, border - up * (LASH * wide * taper) * lash]).reshape(
            -1, 2
        )
        rest = np.broadcast_to(fold, (ROWS + LASH_ROWS + 1, *fold.shape)).reshape(-1, 2)
        depth = _depths(surface, upper, lower, wide)[0] - BEFORE * surface.eyes
        points.append(np.c_[rest, np.full(each, depth)])
        move = np.zeros((2 * each, 3))
        move[number * each : (number + 1) * each, :2] = closed - rest
        moves[f"eyeBlink{side}"] = move
        down = np.concatenate([lid.ravel() * lids.LID_SHARE, lids.LID_SHARE + lash.ravel() * (1 - lids.LID_SHARE)])
        x, y = np.meshgrid((number + 0.005 + 0.99 * along) / 2, down)
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
    return Layer(
        "lids",
        np.concatenate(points),
        np.concatenate([triangles, triangles + each]),
        np.concatenate(places),
        LIDS,
        moves=moves,
        blended=True,
    )
