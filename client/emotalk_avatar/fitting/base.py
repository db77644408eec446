"""The bundled head as the fit needs it: dense arrays in a picture's axes, the landmarks' places, one constant matrix.

Axes here and in all of the fit: x to the picture's right, y down, z away from the camera (as landmarks have it).

The matrix tells how far each vertex is to be moved when the head's landmarks are moved: thin-plate-like interpolation
with the kernel -r and a linear polynomial, smoothed (M. D. Buhmann, Radial Basis Functions, 2003, section 5.2). It
depends on the head alone. Its places are those of a half-open mouth: at rest upper and lower lip would share theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.fitting import mesh478
from emotalk_client.faces import head
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

AXES = np.array([1.0, -1.0, -1.0])
"""Factors from the head's axes to those of a picture."""
OPENED = 0.6
"""Weight of jawOpen in the places that the matrix goes by."""
SMOOTHING = 0.02
"""Of the interpolation, for distances in units of the eyes'."""

_LIPS_GREEN, _MOUTH_RED = 0.31, 0.30
"""Linear colours below which a vertex is painted as lip, and as the mouth's inside."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the head."""

    points: NDArray[np.float64]
    """[V, 3] metres."""
    triangles: NDArray[np.int64]
    """[T, 3]"""
    colours: NDArray[np.float64]
    """[V, 3] linear."""
    moves: NDArray[np.float64]
    """[52, V, 3] metres at weight 1, in the blendshapes' order."""


@dataclass(frozen=True, slots=True)
class Base:
    """The head."""

    skin: Piece
    teeth: Piece
    tongue: Piece
    facing: NDArray[np.float64]
    """[V]: share of the skin's normal that points to the camera."""
    seen: NDArray[np.bool_]
    """[V]: skin that is seen from the front."""
    cavity: NDArray[np.bool_]
    """[V]: skin inside of the mouth."""
    lips: NDArray[np.bool_]
    """[V]: skin of the lips, their inner sides included."""
    lower: NDArray[np.bool_]
    """[V]: skin that goes down with the jaw."""
    corners: NDArray[np.int64]
    shares: NDArray[np.float64]
    """[468, 3]: the vertices among which each landmark lies, and how near each."""
    matrix: NDArray[np.float32]
    """[V, 468]: moves of the skin's vertices by moves of the landmarks."""

    def at_landmarks(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the [468, ...] of a landmark each, from ``values`` [V, ...] of the skin's vertices."""
        weights = self.shares.reshape(*self.shares.shape, *[1] * (values.ndim - 1))
        found: NDArray[np.float64] = (values[self.corners] * weights).sum(axis=1)
        return found


@cache
def base() -> Base:
    """Read the head; once a process."""
    parts = {part.name: part for part in head.parts()}
    skin = _piece(parts["skin"])
    with np.load(Path(__file__).parent / "anchors.npz") as anchors:
        corners, shares = anchors["triangles"].astype(np.int64), anchors["shares"].astype(np.float64)
        seen = np.unpackbits(anchors["seen"])[: len(skin.points)].astype(bool)
    jaw = skin.moves[INDEX["jawOpen"], :, 1]
    cavity = skin.colours[:, 0] < _MOUTH_RED
    lower_lip = (jaw[corners[list(mesh478.INNER_LOWER)]] * shares[list(mesh478.INNER_LOWER)]).sum(axis=1).max()
    return Base(
        skin,
        _piece(parts["teeth"]),
        _piece(parts["tongue"]),
        parts["skin"].normals[:, 2].astype(np.float64),
        seen,
        cavity,
        (skin.colours[:, 1] < _LIPS_GREEN) & ~cavity & (skin.points[:, 1] > 0) & (skin.points[:, 2] < -0.05),
        jaw > 0.45 * lower_lip,
        corners,
        shares,
        _matrix(skin, corners, shares),
    )


def _piece(part: head.Part) -> Piece:
    moves = np.zeros((BLENDSHAPE_COUNT, len(part.points), 3))
    for name, move in part.moves.items():
        moves[INDEX[name], move.vertices] = move.offsets * AXES
    return Piece(part.points * AXES, part.triangles.astype(np.int64), part.colours[:, :3].astype(np.float64), moves)


def _matrix(skin: Piece, corners: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """[V, 468]"""
    opened = skin.points + OPENED * skin.moves[INDEX["jawOpen"]]
    places = (opened[corners] * shares[..., None]).sum(axis=1)
    unit = np.linalg.norm(np.subtract(*places[list(mesh478.EYE_OUTER.values())]))
    # Landmarks on one and the same vertex share its move between them.
    kept, groups = np.unique(places.round(6), axis=0, return_inverse=True)
    groups = groups.ravel()
    average = np.zeros((len(kept), len(places)))
    average[groups, np.arange(len(places))] = 1 / np.bincount(groups)[groups]
    centres, targets = kept / unit, opened / unit
    count = len(centres)
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = -_distances(centres, centres) + SMOOTHING * np.eye(count)
    system[:count, count:] = _linear(centres)
    system[count:, :count] = system[:count, count:].T
    solved = np.linalg.solve(system, np.eye(count + 4, count))
    matrix: NDArray[np.float32] = (np.c_[-_distances(targets, centres), _linear(targets)] @ solved @ average).astype(
        np.float32
    )
    return matrix


def _distances(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1) - 2 * one @ two.T
    root: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return root


def _linear(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.ones((len(points), 1)), points], axis=1)
