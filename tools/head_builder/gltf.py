"""Parts of a head into one .glb: a node, a mesh, a primitive a part; morph targets as sparse accessors.

Names decide, so the mesh says them (``extras.targetNames``, the glTF specification's own convention).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emotalk_client.faces.head import container as glb
from head_builder.parts import Part, linear

SOURCE = "MakeHuman base mesh (MakeHuman team) and Face Units (Mika Suominen), CC0 1.0; assembled by emotalk-triton"

MOVED_M = 5e-5
"""Displacements below this many metres are left out."""
TURNED = 0.04
"""So are normals that change by less."""


def assembled(parts: Sequence[Part], names: Sequence[str]) -> bytes:
    """The file; ``names`` is the order of the morph targets."""
    file = glb.Container({"asset": {"version": "2.0", "generator": "emotalk-triton head_builder", "copyright": SOURCE}})
    primitives = [_primitive(file, part, names) for part in parts]
    file.document |= {
        "scene": 0,
        "scenes": [{"name": "head", "nodes": [0]}],
        "nodes": [{"name": "head", "mesh": 0}],
        "materials": [_material(part) for part in parts],
        "meshes": [
            {
                "name": "head",
                "primitives": [dict(primitive, material=i) for i, primitive in enumerate(primitives)],
                "weights": [0] * len(names),
                "extras": {"targetNames": list(names)},
            }
        ],
    }
    return file.packed()


def _material(part: Part) -> dict[str, Any]:
    material: dict[str, Any] = {
        "name": part.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*(round(float(v), 4) for v in linear(part.colour)), 1],
            "metallicFactor": 0,
            "roughnessFactor": part.roughness,
        },
    }
    if part.clear:
        material |= {"alphaMode": "BLEND", "doubleSided": True}
    return material


def _primitive(file: glb.Container, part: Part, names: Sequence[str]) -> dict[str, Any]:
    mesh = part.mesh
    normals = mesh.normals()
    count = len(mesh.positions)
    nothing = file.add({"componentType": glb.FLOAT, "count": count, "type": "VEC3", "min": [0] * 3, "max": [0] * 3})
    targets = []
    for name in names:
        move = mesh.moves[name]
        target = {"POSITION": file.add_moves(move, MOVED_M, nothing)}
        if part.bent:
            target["NORMAL"] = file.add_moves(mesh.normals(mesh.positions + move) - normals, TURNED, nothing)
        targets.append(target)
    colours = np.round(mesh.colours * 255).astype(np.uint8)
    return {
        "attributes": {
            "POSITION": file.add_array(mesh.positions.astype(np.float32), "VEC3", glb.VERTICES, bounds=True),
            "NORMAL": file.add_array(normals.astype(np.float32), "VEC3", glb.VERTICES),
            "COLOR_0": file.add_array(colours, "VEC4", glb.VERTICES, normalized=True),
        },
        "indices": file.add_array(mesh.triangles.astype(np.uint16).ravel(), "SCALAR", glb.INDICES),
        "targets": targets,
    }
