"""``.glb``: the client's head and its animation as binary glTF 2.0, which browsers, Blender and Unreal read.

One node, one mesh, 52 morph targets. The animation's output has a weight for each target of each frame, in the mesh's
own order, which ``extras.targetNames`` tells: names decide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emotalk_client.faces import head
from emotalk_client.faces.formats.faults import Fault, check_ascending, check_finite, shortened
from emotalk_client.faces.formats.files import content_of
from emotalk_client.faces.formats.names import arranged
from emotalk_client.faces.formats.rates import rate_of, said_rate
from emotalk_client.faces.head.container import Container, member
from emotalk_client.faces.track import MAX_FRAMES, Track
from emotalk_contract.arkit import columns

NAME = "emotalk"
"""The animation's name."""
RESOLUTION = 2.0**-23
"""Of the moments, which are float32: share of the last one."""


def write(track: Track, path: Path) -> None:
    """Write the head with the animation."""
    path.write_bytes(content(track))


def content(track: Track) -> bytes:
    """The file, which begins at 0 and keeps gaps; without frames it is the resting head."""
    container = Container.unpacked(head.read())
    if len(track):
        weights = track.weights[:, columns(head.target_names(container))].astype(np.float32)
        times = container.add_array(track.seconds.astype(np.float32), "SCALAR", bounds=True)
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
    container = Container.unpacked(content_of(path))
    animation, channel = _first(container.document)
    names, sampler = _targets(container.document, channel), member(animation, "samplers", channel.get("sampler"))
    if sampler.get("interpolation", "LINEAR") not in ("LINEAR", "STEP"):
        raise Fault(f"its weights are {shortened(sampler['interpolation'])}; accepted: LINEAR or STEP")
    seconds = container.array(sampler.get("input")).astype(np.float64)
    values = container.array(sampler.get("output"))
    if seconds.ndim != 1 or values.ndim != 1 or len(values) != len(seconds) * len(names):
        raise Fault(f"it has {values.size} weights for {len(names)} targets at {len(seconds)} moments")
    if len(seconds) > MAX_FRAMES:
        raise Fault(f"it has {len(seconds)} frames; accepted: at most {MAX_FRAMES}")
    check_ascending(seconds, "frame")
    weights = values.reshape(len(seconds), len(names)).astype(np.float32)
    check_finite(weights, names, "frame")
    extras = animation.get("extras")
    said = extras.get("fps") if isinstance(extras, dict) else None
    rate = rate_of(seconds, fps, RESOLUTION * max(1.0, float(np.abs(seconds).max(initial=0.0))))
    return Track(arranged(weights, names), seconds, rate if said is None else said_rate(said, "its fps"))


def _first(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first animation with a channel of morph weights, and that channel."""
    for animation in _objects(document.get("animations", []), "animations"):
        for channel in _objects(animation.get("channels"), "channels"):
            target = channel.get("target")
            if isinstance(target, dict) and target.get("path") == "weights":
                return animation, channel
    raise Fault("it has no animation of morph weights")


def _targets(document: dict[str, Any], channel: dict[str, Any]) -> list[str]:
    """The names of the morph targets that ``channel`` moves."""
    node = member(document, "nodes", channel["target"].get("node"))
    extras = member(document, "meshes", node.get("mesh")).get("extras")
    names = extras.get("targetNames") if isinstance(extras, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Fault("its mesh does not name its morph targets (extras.targetNames)")
    return names


def _objects(value: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Fault(f"its {what} are {shortened(value)}; accepted: a list of objects")
    return value
