"""Triangle meshes with morph targets: normals, cutting along a surface, closing the cut. Pure functions on arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float64]
"""[N, 3]"""
Triangles: TypeAlias = NDArray[np.int64]
"""[T, 3], counter-clockwise seen from outside."""


@dataclass(slots=True)
class Mesh:
    """One surface."""

    positions: Vectors
    """[V, 3] metres."""
    triangles: Triangles
    moves: dict[str, Vectors]
    """Blendshape to displacement [V, 3] at weight 1."""
    colours: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    """[V, 4] linear RGB and opacity 0..1, which multiply the material's."""

    def __post_init__(self) -> None:
        if not len(self.colours):
            self.colours = np.ones((len(self.positions), 4))

    def normals(self, positions: Vectors | None = None) -> Vectors:
        """[V, 3] unit vectors: the triangles' normals, weighted by angle (Thürmer & Wüthrich 1998)."""
        points = self.positions if positions is None else positions
        out = np.zeros_like(points)
        corners = points[self.triangles]
        face = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        for corner in range(3):
            here = corners[:, corner]
            one = _unit(corners[:, (corner + 1) % 3] - here)
            two = _unit(corners[:, (corner + 2) % 3] - here)
            angle = np.arccos(np.clip((one * two).sum(axis=1), -1, 1))
            np.add.at(out, self.triangles[:, corner], face * angle[:, None])
        return _unit(out)


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit


def triangulated(faces: Iterable[list[int]]) -> Triangles:
    """Polygons as fans of triangles."""
    return np.array([[face[0], face[k], face[k + 1]] for face in faces for k in range(1, len(face) - 1)], np.int64)


def compact(positions: Vectors, triangles: Triangles, moves: Mapping[str, Vectors]) -> tuple[Mesh, NDArray[np.int64]]:
    """The mesh of the vertices that ``triangles`` use, and their old numbers."""
    used, renumbered = np.unique(triangles, return_inverse=True)
    mesh = Mesh(positions[used], renumbered.reshape(-1, 3), {name: move[used] for name, move in moves.items()})
    return mesh, used


def joined(meshes: Iterable[Mesh]) -> Mesh:
    """Several as one."""
    parts = list(meshes)
    starts = np.cumsum([0] + [len(part.positions) for part in parts])
    return Mesh(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.triangles + start for part, start in zip(parts, starts[:-1], strict=True)]),
        {name: np.concatenate([part.moves[name] for part in parts]) for name in parts[0].moves},
        np.concatenate([part.colours for part in parts]),
    )


def cut(mesh: Mesh, height: NDArray[np.float64]) -> tuple[Mesh, list[int]]:
    """Return the part of ``mesh`` where ``height`` [V] is positive, cut where it is 0, and the cut's vertices."""
    positions, colours = list(mesh.positions), list(mesh.colours)
    moves = {name: list(move) for name, move in mesh.moves.items()}
    crossings: dict[tuple[int, int], int] = {}

    def crossing(inside: int, outside: int) -> int:
        key = (inside, outside)
        if key not in crossings:
            share = height[inside] / (height[inside] - height[outside])
            for values in (positions, colours, *moves.values()):
                values.append(values[inside] + share * (values[outside] - values[inside]))
            crossings[key] = len(positions) - 1
        return crossings[key]

    kept: list[list[int]] = []
    for triangle in mesh.triangles:
        polygon: list[int] = []
        for here, there in zip(triangle, np.roll(triangle, -1), strict=True):
            if height[here] > 0:
                polygon.append(int(here))
            if (height[here] > 0) != (height[there] > 0):
                inside, outside = (here, there) if height[here] > 0 else (there, here)
                polygon.append(crossing(int(inside), int(outside)))
        if len(polygon) > 2:
            kept.append(polygon)
    whole = Mesh(
        np.array(positions),
        triangulated(kept),
        {name: np.array(move) for name, move in moves.items()},
        np.array(colours),
    )
    small, used = compact(whole.positions, whole.triangles, whole.moves)
    small.colours = whole.colours[used]
    number = {int(old): new for new, old in enumerate(used)}
    return small, [number[vertex] for vertex in crossings.values() if vertex in number]


def components(triangles: Triangles, count: int) -> NDArray[np.int64]:
    """Number of the connected piece that each of ``count`` vertices belongs to: the smallest vertex in it."""
    label = np.arange(count)
    while True:
        lowest = label[triangles].min(axis=1)
        after = label.copy()
        for corner in range(3):
            np.minimum.at(after, triangles[:, corner], lowest)
        if (after == label).all():
            return label
        label = after


def cap(mesh: Mesh, rim: list[int], centre: Vectors) -> Mesh:
    """A fan from the vertices ``rim`` of a cut, in order around the vertical, to ``centre`` [3]; it faces down."""
    ring = mesh.positions[rim]
    order = np.argsort(np.arctan2(ring[:, 2] - centre[2], ring[:, 0] - centre[0]))
    count = len(rim)
    positions = np.concatenate([ring[order], centre[None]])
    triangles = np.array([[k, (k + 1) % count, count] for k in range(count)])
    moves = {name: np.concatenate([move[rim][order], np.zeros((1, 3))]) for name, move in mesh.moves.items()}
    colours = np.concatenate([mesh.colours[rim][order], mesh.colours[rim].mean(axis=0)[None]])
    return Mesh(positions, triangles, moves, colours)
