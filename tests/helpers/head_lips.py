"""How far the lips of the client's head are apart: the mesh itself is asked, through a reader that is not ours."""

from __future__ import annotations

import numpy as np
import pygltflib

from emotalk_client.faces import head
from emotalk_contract.arkit import BLENDSHAPES

TYPES = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


def accessor(file: pygltflib.GLTF2, number: int) -> np.ndarray:
    """The values of an accessor, dense or sparse, [N, width]."""
    found = file.accessors[number]
    width = WIDTHS[found.type]

    def view(index, component, count, offset=0):
        place = file.bufferViews[index]
        values = np.frombuffer(file.binary_blob(), TYPES[component], count, (place.byteOffset or 0) + (offset or 0))
        return values.reshape(-1, width) if count % width == 0 and component == found.componentType else values

    if found.bufferView is not None:
        return view(found.bufferView, found.componentType, found.count * width, found.byteOffset)
    values = np.zeros((found.count, width), TYPES[found.componentType])
    if found.sparse is not None:
        sparse = found.sparse
        rows = view(sparse.indices.bufferView, sparse.indices.componentType, sparse.count)
        values[rows] = view(sparse.values.bufferView, found.componentType, sparse.count * width)
    return values


class Lips:
    """The vertices in the middle of the lips, and how the blendshapes move them up and down."""

    def __init__(self) -> None:
        file = pygltflib.GLTF2.load_from_bytes(head.read())
        mesh = file.meshes[0]
        names = mesh.extras["targetNames"]
        skin = next(p for p in mesh.primitives if file.materials[p.material].name == "skin")
        points = accessor(file, skin.attributes.POSITION).astype(float)
        tint = accessor(file, skin.attributes.COLOR_0)[:, 1] / 255
        down = {n: accessor(file, t["POSITION"])[:, 1] * 1000.0 for n, t in zip(names, skin.targets, strict=True)}
        lips = np.flatnonzero((np.abs(points[:, 0]) < 1e-5) & (tint > 0.2) & (tint < 0.75) & (points[:, 2] > 0.05))
        opened = down["jawOpen"][lips]
        self._upper, self._lower = lips[opened > -5], lips[opened < -20]
        assert len(self._upper) > 3
        assert len(self._lower) > 3
        self._rest = points[:, 1] * 1000
        self._moves = np.stack([down[name] for name in BLENDSHAPES])

    def gap_mm(self, weights: np.ndarray) -> np.ndarray:
        """Millimetres between the lips for each row of ``weights`` [F, 52]; negative where they overlap."""
        heights = self._rest + weights @ self._moves
        return heights[:, self._upper].min(axis=1) - heights[:, self._lower].max(axis=1)
