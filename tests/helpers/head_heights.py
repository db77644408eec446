"""The height of what each blendshape moves on the client's head: the mesh is asked, by a reader that is not ours."""

from __future__ import annotations

import numpy as np
import pygltflib
from head_lips import accessor

from emotalk_client.faces import head


def heights() -> dict[str, float]:
    """Return blendshape to the mean height of its vertices, by how far they move; 0..1 of the part that moves 1 mm."""
    file = pygltflib.GLTF2.load_from_bytes(head.read())
    mesh = file.meshes[0]
    height, moved = [], {name: [] for name in mesh.extras["targetNames"]}
    for part in mesh.primitives:
        points = accessor(file, part.attributes.POSITION)[:, 1].astype(float)
        height.append(points)
        for name, target in zip(moved, part.targets or [], strict=True):
            moved[name].append(np.linalg.norm(accessor(file, target["POSITION"]).astype(float), axis=1))
    y = np.concatenate(height)
    distance = {name: np.concatenate(parts) for name, parts in moved.items()}
    moving = y[np.max(list(distance.values()), axis=0) > 0.001]
    low, high = moving.min(), moving.max()
    return {name: float((np.average(y, weights=far) - low) / (high - low)) for name, far in distance.items()}
