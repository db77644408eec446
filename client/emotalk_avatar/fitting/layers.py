"""Layers of triangles over one picture, in its pixels: an avatar is drawn of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PHOTOGRAPH, TEETH, LIDS = "photograph", "teeth", "lids"
"""Textures."""


@dataclass(slots=True)
class Layer:
    """Triangles of one material."""

    name: str
    points: NDArray[np.float64]
    """[V, 3] pixels: x right, y down, z away from the camera."""
    triangles: NDArray[np.int64]
    """[T, 3]"""
    places: NDArray[np.float64]
    """[V, 2] in the texture: 0..1 from its upper left corner."""
    texture: str | None = PHOTOGRAPH
    colours: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    """[V, 4] linear RGB by which the texture is multiplied, and opacity."""
    moves: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """By blendshape, or by turn of the head: [V, 3] pixels at weight 1."""
    blended: bool = False
    """True where opacity counts."""
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """[V]: of the vertices in what it is a part of; none where it is whole."""

    def __post_init__(self) -> None:
        if not len(self.colours):
            self.colours = np.ones((len(self.points), 4))

    def part(self, triangles: NDArray[np.int64]) -> Layer:
        """Return the layer of some of its triangles, with their vertices only."""
        used, renumbered = np.unique(triangles, return_inverse=True)
        return Layer(
            self.name,
            self.points[used],
            renumbered.reshape(-1, 3),
            self.places[used],
            self.texture,
            self.colours[used],
            {move: offsets[used] for move, offsets in self.moves.items()},
            self.blended,
            used,
        )


def grid(rows: int, columns: int) -> NDArray[np.int64]:
    """Two triangles [T, 3] for each cell of a grid of vertices, row by row."""
    number = np.arange(rows * columns).reshape(rows, columns)
    one, two, three, four = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    return np.concatenate(
        [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((one, three, two), (one, four, three))]
    )
