"""``.glb``: the client's head and its animation as binary glTF 2.0, which browsers, Blender and Unreal read.

One node, one mesh, 52 morph targets. The animation's output has a weight for each target of each frame, in the mesh's
own order, which ``extras.targetNames`` tells: names decide.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emotalk_client.faces import head
from emotalk_client.faces.formats.rates import rate_of
from emotalk_client.faces.head.container import Container
from emotalk_client.faces.track import Track
from emotalk_contract.arkit import BLENDSHAPES, columns

NAME = "emotalk"
"""Of the animation."""


def write(track: Track, path: Path) -> None:
    """Write the head with the animation."""
    path.write_bytes(content(track))


def content(track: Track) -> bytes:
    """The file; without frames it is the resting head."""
    container = Container.unpacked(head.read())
    if len(track):
        weights = track.weights[:, columns(head.target_names(container))].astype(np.float32)
        times = container.add_array(track.timecodes.astype(np.float32), "SCALAR", bounds=True)
        sampler = {
            "input": times,
            "output": container.add_array(weights.ravel(), "SCALAR"),
            "interpolation": "LINEAR",
        }
        channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
        container.document["animations"] = [
            {"name": NAME, "samplers": [sampler], "channels": [channel], "extras": {"fps": track.fps}}
        ]
    return container.packed()


def read(path: Path, fps: float | None = None) -> Track:
    """Read the first animation of morph weights, its targets by name; ``fps`` where nothing tells its rate."""
    container = Container.unpacked(path.read_bytes())
    document = container.document
    animation, channel = next(
        (
            (animation, channel)
            for animation in document.get("animations", [])
            for channel in animation["channels"]
            if channel["target"]["path"] == "weights"
        ),
        (None, None),
    )
    if animation is None or channel is None:
        raise ValueError("it has no animation of morph weights")
    mesh = document["meshes"][document["nodes"][channel["target"]["node"]]["mesh"]]
    names = mesh["extras"]["targetNames"]
    sampler = animation["samplers"][channel["sampler"]]
    if sampler.get("interpolation", "LINEAR") == "CUBICSPLINE":
        raise ValueError("its weights are cubic splines; accepted: LINEAR or STEP")
    seconds = container.array(sampler["input"]).astype(np.float64)
    weights = container.array(sampler["output"]).reshape(len(seconds), len(names))
    said = animation.get("extras", {}).get("fps")
    rate = rate_of(seconds, fps) if said is None else float(said)
    order = [names.index(name) for name in BLENDSHAPES]
    return Track(weights[:, order].astype(np.float32), seconds, rate)
