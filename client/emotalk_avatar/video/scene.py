"""A glTF as it is drawn: surfaces, and the moves that the 52 blendshapes give them.

Two kinds of files are read: this project's head (metres, lit, seen in perspective) and an avatar (``extras.width`` and
``extras.height`` of its document: pixels of the photograph, y up, unlit, seen straight on).
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
    """RGB [h, w, 3], sRGB."""
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
    size: tuple[int, int] | None
    """Width and height in pixels of an avatar's photograph; None of a head."""


def read_scene(content: bytes) -> Scene:
    """Return what the glTF ``content`` holds.

    Raises:
        DamagedAvatar: it is not a glTF as this project writes it.
    """
    try:
        container = Container.unpacked(content)
        document = container.document
        surfaces = [
            _surface(container, mesh, primitive)
            for mesh in _meshes(document)
            for primitive in _list(mesh, "primitives")
        ]
        size = _size(document.get("extras"))
    except (BrokenContainer, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DamagedAvatar(f"the glTF cannot be drawn: {error}; accepted: one that this project wrote") from error
    if not surfaces:
        raise DamagedAvatar("the glTF has no mesh; accepted: one that this project wrote")
    return Scene(tuple(surfaces), size)


def _meshes(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the meshes of the document's nodes, in their order."""
    return [member(document, "meshes", node["mesh"]) for node in _list(document, "nodes") if "mesh" in node]


def _list(parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = parent[key]
    if not isinstance(found, list):
        raise BrokenContainer(f"{key} is not a list")
    return found


def _size(extras: Any) -> tuple[int, int] | None:
    if not isinstance(extras, dict) or "width" not in extras:
        return None
    width, height = int(extras["width"]), int(extras["height"])
    if not (0 < width <= 2**14 and 0 < height <= 2**14):
        raise BrokenContainer(f"its picture is {width} by {height} pixels")
    return width, height


def _surface(container: Container, mesh: dict[str, Any], primitive: dict[str, Any]) -> Surface:
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
    if len(triangles) and triangles.max() >= count:
        raise BrokenContainer("a triangle has a corner that is not there")
    moves, turns = _moves(container, mesh, primitive, count)
    return Surface(
        str(material.get("name") or mesh.get("name") or ""),
        points,
        normals,
        triangles,
        colours,
        places,
        None if texture is None else _image(container, texture["index"]),
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


def _image(container: Container, texture: int) -> NDArray[np.uint8]:
    from PIL import Image

    document = container.document
    image = member(document, "images", member(document, "textures", texture)["source"])
    with Image.open(io.BytesIO(container.view(image["bufferView"])), formats=["JPEG", "PNG"]) as picture:
        return np.asarray(picture.convert("RGB"))
