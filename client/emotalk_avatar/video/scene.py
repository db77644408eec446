"""A glTF as it is drawn: surfaces, and the moves that the 52 blendshapes give them.

Two kinds of files are read: this project's head (lit, seen in perspective) and an avatar (unlit, seen straight on):
``extras.picture`` of its mesh says where its photograph lies. Both are in metres, y up, with the head at one place.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.errors import DamagedAvatar
from emotalk_client.faces.head.container import BrokenContainer, Container, member
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

UNLIT = "KHR_materials_unlit"
MAX_VERTICES = 100_000
"""Of all surfaces; ours have some thousand."""
MAX_SIDE = 4096
"""Pixels of a texture's."""
FAR_M = 100.0
"""From the head, within which a photograph's corners lie."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A piece of one material."""

    name: str
    """The material's, else the mesh's."""
    points: NDArray[np.float32]
    """[V, 3]."""
    normals: NDArray[np.float32]
    """[V, 3] of unit length; zeros where it is unlit."""
    triangles: NDArray[np.int32]
    """[T, 3], counter-clockwise seen from outside."""
    colours: NDArray[np.float32]
    """[V, 4] linear RGB, and opacity."""
    places: NDArray[np.float32]
    """[V, 2] of the texture, from its upper left corner; zeros where there is none."""
    texture: NDArray[np.uint8] | None
    """RGB [h, w, 3] or RGBA [h, w, 4], sRGB."""
    moves: NDArray[np.float32]
    """[52, V, 3] at weight 1."""
    turns: NDArray[np.float32]
    """[52, V, 3] of the normals, likewise."""
    lit: bool
    blended: bool
    two_sided: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole file."""

    surfaces: tuple[Surface, ...]
    """In the order in which they are drawn."""
    frame: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom of an avatar's photograph in metres; None of a head."""
    photograph: NDArray[np.uint8] | None = None
    """RGB [h, w, 3] of an avatar."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the photograph in pixels; None of a head."""
        return None if self.photograph is None else (self.photograph.shape[1], self.photograph.shape[0])


def read_scene(content: bytes) -> Scene:
    """Return what the glTF ``content`` holds.

    Raises:
        DamagedAvatar: it is not a glTF as this project writes it.
    """
    try:
        container = Container.unpacked(content)
        document = container.document
        images = _Images(container)
        pairs = [(mesh, one) for mesh in _meshes(document) for one in _list(mesh, "primitives")]
        surfaces = [_surface(container, mesh, primitive, images) for mesh, primitive in _bounded(container, pairs)]
        frame = _frame(document)
        photograph = None if frame is None else images[0]
    except (
        *(BrokenContainer, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError),
        *(OSError, SyntaxError),  # Pillow's, of a picture that is none
    ) as error:
        raise DamagedAvatar(f"the glTF cannot be drawn: {error}; accepted: one that this project wrote") from error
    if not surfaces:
        raise DamagedAvatar("the glTF has no mesh; accepted: one that this project wrote")
    return Scene(tuple(surfaces), frame, photograph)


def _meshes(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the meshes of the document's nodes, in their order."""
    return [member(document, "meshes", node["mesh"]) for node in _list(document, "nodes") if "mesh" in node]


def _bounded(
    container: Container, primitives: list[tuple[dict[str, Any], dict[str, Any]]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return ``primitives``, whose moves take 1.3 kB a vertex, if they have not more vertices than may be."""
    numbers = [primitive["attributes"]["POSITION"] for _, primitive in primitives]
    count = sum(int(member(container.document, "accessors", number)["count"]) for number in numbers)
    if count > MAX_VERTICES:
        raise BrokenContainer(f"it has {count} vertices; accepted: at most {MAX_VERTICES}")
    return primitives


def _list(parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = parent[key]
    if not isinstance(found, list):
        raise BrokenContainer(f"{key} is not a list")
    return found


def _frame(document: dict[str, Any]) -> tuple[float, float, float, float] | None:
    given = [mesh["extras"]["picture"] for mesh in _meshes(document) if "picture" in mesh.get("extras", {})]
    if not given:
        return None
    left, top, right, bottom = (float(value) for value in given[0])
    if not (left < right and bottom < top and all(abs(value) < FAR_M for value in given[0])):
        raise BrokenContainer(f"its picture lies at {given[0]}")
    return left, top, right, bottom


def _surface(container: Container, mesh: dict[str, Any], primitive: dict[str, Any], images: _Images) -> Surface:
    document = container.document
    attributes = primitive["attributes"]
    material = member(document, "materials", primitive["material"])
    look = material.get("pbrMetallicRoughness", {})
    points = _vectors(container.array(attributes["POSITION"]))
    count = len(points)
    lit = UNLIT not in material.get("extensions", {})
    normals = _vectors(container.array(attributes["NORMAL"])) if lit and "NORMAL" in attributes else points * 0
    colours = np.ones((count, 4), np.float32)
    if "COLOR_0" in attributes:
        given = _fractions(container, attributes["COLOR_0"])
        colours[:, : given.shape[1]] = given
    colours *= np.array(look.get("baseColorFactor", [1, 1, 1, 1]), np.float32)
    texture = look.get("baseColorTexture")
    places = np.zeros((count, 2), np.float32)
    if texture is not None:
        places = container.array(attributes["TEXCOORD_0"]).astype(np.float32)
    triangles = container.array(primitive["indices"]).astype(np.int32).reshape(-1, 3)
    if not len(triangles) or triangles.max() >= count:
        raise BrokenContainer("a triangle has a corner that is not there, or there is none")
    moves, turns = _moves(container, mesh, primitive, count)
    if not all(np.abs(values).max(initial=0) < FAR_M for values in (points, moves, normals, turns)):  # NaN fails too
        raise BrokenContainer(f"a vertex lies or moves farther than {FAR_M:g} m")
    return Surface(
        str(material.get("name") or mesh.get("name") or ""),
        points,
        normals,
        triangles,
        colours,
        places,
        None if texture is None else images[texture["index"]],
        moves,
        turns if lit else turns * 0,
        lit,
        material.get("alphaMode") == "BLEND",
        bool(material.get("doubleSided")),
    )


def _vectors(values: NDArray[Any]) -> NDArray[np.float32]:
    found = values.astype(np.float32)
    if found.ndim != 2 or found.shape[1] != 3:
        raise BrokenContainer("an attribute is not of three numbers")
    return found


def _fractions(container: Container, number: int) -> NDArray[np.float32]:
    """Return an accessor as 0..1, whether it is said to be normalised or not."""
    values = container.array(number)
    if values.dtype.kind == "u":
        return values / np.float32(np.iinfo(values.dtype).max)
    return values.astype(np.float32)


def _moves(
    container: Container, mesh: dict[str, Any], primitive: dict[str, Any], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the moves of points and normals, [52, count, 3] each, in ARKit's order."""
    found = np.zeros((2, BLENDSHAPE_COUNT, count, 3), np.float32)
    targets = primitive.get("targets", [])
    names = mesh.get("extras", {}).get("targetNames", []) if targets else []
    for name, target in zip(names, targets, strict=True):
        if name not in INDEX:
            continue
        for of, kind in enumerate(("POSITION", "NORMAL")):
            if kind in target:
                found[of, INDEX[name]] = _offsets(container, target[kind], count)
    return found[0], found[1]


def _offsets(container: Container, number: int, count: int) -> NDArray[np.float32]:
    accessor = member(container.document, "accessors", number)
    if "sparse" not in accessor and "bufferView" in accessor:
        return _vectors(container.array(number))
    out = np.zeros((count, 3), np.float32)
    rows, values = container.sparse(number)
    if len(rows):
        out[rows] = values
    return out


class _Images(dict[int, NDArray[np.uint8]]):
    """Textures by their numbers, each decoded once."""

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container

    def __missing__(self, texture: int) -> NDArray[np.uint8]:
        from PIL import Image

        document = self._container.document
        image = member(document, "images", member(document, "textures", texture)["source"])
        content = io.BytesIO(self._container.view(image["bufferView"]))
        with Image.open(content, formats=["JPEG", "PNG"]) as picture:
            if max(picture.size) > MAX_SIDE:
                raise BrokenContainer(f"a texture has {picture.width} by {picture.height} pixels")
            self[texture] = np.asarray(picture.convert("RGBA" if "A" in picture.getbands() else "RGB"))
        return self[texture]
