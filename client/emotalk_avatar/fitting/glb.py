"""Layers as binary glTF 2.0: one node, one mesh, a primitive a layer, unlit, and in all of them the 52 by name.

Metres, y up, facing +z, and the head's origin where the bundled head has it, so that a viewer of that head shows this
one in its place. Seen along z by an orthographic camera, ``extras.picture`` (left, top, right, bottom, metres) is the
picture.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.fitting.layers import LIDS, PHOTOGRAPH, TEETH, Layer
from emotalk_avatar.fitting.posing import Pose
from emotalk_avatar.jpeg import encoded
from emotalk_client.faces.head import container as glb
from emotalk_contract.arkit import BLENDSHAPES

UNLIT = "KHR_materials_unlit"
MOVED_M, MOVED_PX = 1.8e-4, 0.25
"""Moves of fewer metres, or of fewer pixels of the photograph, are left out."""
QUALITIES, PHOTOGRAPH_BYTES = (92, 88, 84, 78, 70, 60, 45, 30, 15), 300_000
"""Of the photograph's JPEG: the first that makes it no larger, else the last."""
LINEAR, TRILINEAR, CLAMPED = 9729, 9987, 33071
"""glTF's constants of samplers."""
_NAMES = {PHOTOGRAPH: 0, TEETH: 1, LIDS: 2}


def packed(
    layers: Sequence[Layer], pose: Pose, photograph: NDArray[np.uint8], drawings: Sequence[NDArray[np.uint8]]
) -> bytes:
    """Return the file.

    Args:
        layers: from the farthest to the nearest.
        pose: where the head lies in the photograph.
        photograph: RGB [height, width, 3].
        drawings: of teeth (RGB) and lids (RGBA).
    """
    file = glb.Container({"asset": {"version": "2.0", "generator": "emotalk-triton"}})
    encoded = [_photograph(photograph), *map(_drawing, drawings)]
    views = [file.add_view(np.frombuffer(content, np.uint8)) for content in encoded]
    primitives = [_primitive(file, layer, pose) for layer in layers]
    height, width = photograph.shape[:2]
    corners = _metres(np.array([[0.0, 0, pose.shift[2]], [width, height, pose.shift[2]]]), pose)
    file.document |= {
        "extensionsUsed": [UNLIT],
        "scene": 0,
        "scenes": [{"name": "avatar", "nodes": [0]}],
        "nodes": [{"name": "avatar", "mesh": 0}],
        "materials": [_material(layer) for layer in layers],
        "textures": [{"source": number, "sampler": 0} for number in range(len(views))],
        "samplers": [{"magFilter": LINEAR, "minFilter": TRILINEAR, "wrapS": CLAMPED, "wrapT": CLAMPED}],
        "images": [
            {"bufferView": view, "mimeType": "image/jpeg" if number == 0 else "image/png"}
            for number, view in enumerate(views)
        ],
        "meshes": [
            {
                "name": "avatar",
                "primitives": [dict(primitive, material=number) for number, primitive in enumerate(primitives)],
                "weights": [0] * len(BLENDSHAPES),
                "extras": {
                    "targetNames": list(BLENDSHAPES),
                    "picture": [round(float(value), 6) for value in corners[:, :2].ravel()],
                },
            }
        ],
    }
    return file.packed()


def _photograph(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG of the photograph."""
    content = b""
    for quality in QUALITIES:
        content = encoded(pixels, quality)
        if len(content) <= PHOTOGRAPH_BYTES:
            break
    return content


def _drawing(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of what is drawn."""
    from PIL import Image  # of an extra

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", optimize=True)
    return out.getvalue()


def _metres(points: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    return (points - pose.shift) / pose.scale * [1, -1, -1]


def _material(layer: Layer) -> dict[str, Any]:
    surface: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 1}
    if layer.texture is not None:
        surface["baseColorTexture"] = {"index": _NAMES[layer.texture]}
    material: dict[str, Any] = {
        "name": f"avatar-{layer.name}",
        "pbrMetallicRoughness": surface,
        "extensions": {UNLIT: {}},
        "doubleSided": True,
    }
    return material | {"alphaMode": "BLEND"} if layer.blended else material


def _primitive(file: glb.Container, layer: Layer, pose: Pose) -> dict[str, Any]:
    count = len(layer.points)
    nothing = file.add({"componentType": glb.FLOAT, "count": count, "type": "VEC3", "min": [0] * 3, "max": [0] * 3})
    targets = []
    for name in BLENDSHAPES:
        offsets = layer.moves.get(name)
        targets.append({"POSITION": nothing if offsets is None else _moves(file, offsets, pose, nothing)})
    attributes = {
        "POSITION": file.add_array(_metres(layer.points, pose).astype(np.float32), "VEC3", glb.VERTICES, bounds=True),
        "TEXCOORD_0": file.add_array(layer.places.astype(np.float32), "VEC2", glb.VERTICES),
    }
    if not (layer.colours == 1).all():
        colours = np.round(np.clip(layer.colours, 0, 1) * 65535).astype(np.uint16)
        attributes["COLOR_0"] = file.add_array(colours, "VEC4", glb.VERTICES, normalized=True)
    return {
        "attributes": attributes,
        "indices": file.add_array(layer.triangles.astype(np.uint16).ravel(), "SCALAR", glb.INDICES),
        "targets": targets,
    }


def _moves(file: glb.Container, pixels: NDArray[np.float64], pose: Pose, nothing: int) -> int:
    """A sparse accessor of the moves ``pixels`` [V, 3] that can be seen; ``nothing`` where there is none."""
    offsets = pixels / pose.scale * [1, -1, -1]
    return file.add_moves(offsets, max(MOVED_M, MOVED_PX / pose.scale), nothing)
