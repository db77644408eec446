"""The head that comes with the client: a face with the 52 ARKit morph targets, as binary glTF.

Built by ``tools/head_builder`` from MakeHuman's CC0 data (see NOTICE). Metres, y up, facing +z; the origin lies in the
middle of the head. One mesh; its ``extras.targetNames`` say which target is which, and only they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.head.container import Container

NECK = (0.0, -0.1, -0.02)
"""Metres: the point that the head turns about."""


def path() -> Path:
    """The file's path."""
    return Path(__file__).parent / "head.glb"


@cache
def read() -> bytes:
    """The file."""
    return path().read_bytes()


def target_names(container: Container) -> list[str]:
    """The morph targets of the first mesh, in its order."""
    names: list[str] = container.document["meshes"][0]["extras"]["targetNames"]
    return names


@dataclass(frozen=True, slots=True)
class Move:
    """The move that one blendshape gives to a part, at weight 1."""

    vertices: NDArray[np.integer[Any]]
    """[M] that move."""
    offsets: NDArray[np.float32]
    """[M, 3] metres."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of one material."""

    name: str
    points: NDArray[np.float32]
    """[V, 3] metres."""
    normals: NDArray[np.float32]
    """[V, 3] of unit length."""
    triangles: NDArray[np.integer[Any]]
    """[T, 3], counter-clockwise seen from outside."""
    colours: NDArray[np.float32]
    """[V, 4] linear RGB and opacity, 0..1."""
    roughness: float
    moves: dict[str, Move]
    """By blendshape; none for those that leave the part alone."""


def parts() -> list[Part]:
    """The head in pieces, for formats that take meshes of another kind."""
    container = Container.unpacked(read())
    names = target_names(container)
    return [_part(container, primitive, names) for primitive in container.document["meshes"][0]["primitives"]]


def _part(container: Container, primitive: dict[str, Any], names: list[str]) -> Part:
    attributes = primitive["attributes"]
    material = container.document["materials"][primitive["material"]]
    surface = material["pbrMetallicRoughness"]
    moves = {}
    for name, target in zip(names, primitive["targets"], strict=True):
        vertices, offsets = container.sparse(target["POSITION"])
        if len(vertices):
            moves[name] = Move(vertices, offsets)
    return Part(
        material["name"],
        container.array(attributes["POSITION"]),
        container.array(attributes["NORMAL"]),
        container.array(primitive["indices"]).reshape(-1, 3),
        np.array(surface["baseColorFactor"], np.float32) * container.array(attributes["COLOR_0"]),
        surface["roughnessFactor"],
        moves,
    )
