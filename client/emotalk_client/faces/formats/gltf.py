"""``.glb``: a head and its animation as binary glTF 2.0, which browsers, Blender and Unreal read.

The client's head: one mesh, 52 morph targets, and a node for the neck where the head moves. Another head keeps all that
is in its file, and its animation comes first. The animation's output has a weight for each target of each frame, in
the mesh's own order, which ``extras.targetNames`` tells: names decide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces import head
from emotalk_client.faces.formats.faults import Fault, check_ascending, check_finite, shortened
from emotalk_client.faces.formats.files import content_of
from emotalk_client.faces.formats.names import arranged
from emotalk_client.faces.formats.rates import rate_of, said_rate
from emotalk_client.faces.head.container import Container, member
from emotalk_client.faces.head.own import OwnHead
from emotalk_client.faces.rotations import HEAD, quaternions
from emotalk_client.faces.track import MAX_FRAMES, Track
from emotalk_contract.arkit import columns

NAME = "emotalk"
"""The animation's name."""
RESOLUTION = 2.0**-23
"""Of the moments, which are float32: share of the last one."""


def write(track: Track, path: Path, own: OwnHead | None = None) -> None:
    """Write the packaged head, or one's ``own``, with the animation."""
    path.write_bytes(content(track) if own is None else _moved(track, own))


def content(track: Track) -> bytes:
    """The file, which begins at 0 and keeps gaps; without frames it is the resting head."""
    container = Container.unpacked(head.read())
    animation = _Animation(container, track)
    if len(track):
        animation.add(0, "weights", track.weights[:, columns(head.target_names(container))])
    if len(track) and track.rotations is not None:
        # The head turns about the neck, which is a node above it.
        nodes = container.document["nodes"]
        nodes[0]["translation"] = [-place for place in head.NECK]
        nodes.append({"name": "neck", "translation": list(head.NECK), "children": [0]})
        container.document["scenes"][0]["nodes"] = [len(nodes) - 1]
        animation.add(len(nodes) - 1, "rotation", quaternions(track.rotations[:, HEAD]))
    return animation.packed()


def _moved(track: Track, own: OwnHead) -> bytes:
    """The file of ``own`` with the animation: its first one."""
    container = own.container()
    animation = _Animation(container, track)
    meshes = own.weights(track.weights) if len(track) else {}
    for number, node in enumerate(container.document["nodes"]):
        if node.get("mesh") in meshes:
            animation.add(number, "weights", meshes[node["mesh"]])
    if len(track) and track.rotations is not None:
        for number, turned in own.turned(track.rotations).items():
            animation.add(number, "rotation", turned)
    return animation.packed()


class _Animation:
    """An animation in the making."""

    def __init__(self, container: Container, track: Track) -> None:
        self._container = container
        self._track = track
        self._times: int | None = None
        self._samplers: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []

    def add(self, node: int, path: str, values: NDArray[np.floating[Any]]) -> None:
        """Let ``path`` (weights or rotation) of ``node`` take on ``values`` [F, width]."""
        if self._times is None:
            self._times = self._container.add_array(self._track.seconds.astype(np.float32), "SCALAR", bounds=True)
        wide = values.astype(np.float32)
        flat = (wide.ravel(), "SCALAR") if path == "weights" else (wide, "VEC4")
        output = self._container.add_array(*flat)
        self._channels.append({"sampler": len(self._samplers), "target": {"node": node, "path": path}})
        self._samplers.append({"input": self._times, "output": output, "interpolation": "LINEAR"})

    def packed(self) -> bytes:
        """The file's bytes."""
        if self._channels:
            made = {"name": NAME, "samplers": self._samplers, "channels": self._channels}
            others = self._container.document.get("animations", [])
            self._container.document["animations"] = [made | {"extras": {"fps": self._track.fps}}, *others]
        return self._container.packed()


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
