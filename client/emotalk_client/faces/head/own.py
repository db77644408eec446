"""A head of one's own: any ``.glb`` or ``.vrm`` whose face has expressions in a vocabulary that is known.

Theory of operation. A file has *expressions*: its morph targets by name, and in a VRM (0.x or 1.0) the presets and
clips that move several targets at once. The finest vocabulary of which the file has half of the mouth moves the mouth
(:mod:`emotalk_client.faces.vocabularies`); what it has of ARKit's brows, lids and gaze moves these, else what another
vocabulary has of them. No expression is moved twice over. Where the file has bones for the head and the eyes, they
turn.

The page reads files that are dropped on it by the same rules, in ``client/emotalk_gateway/page/static/own.js``; a test
compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import UnreadableHead
from emotalk_client.faces.head.container import BrokenContainer, Container
from emotalk_client.faces.rotations import HEAD, LEFT_EYE, RIGHT_EYE, product, quaternions
from emotalk_client.faces.spelling import key
from emotalk_client.faces.vocabularies import (
    GROUPS,
    LIDS,
    LOOKING,
    MOUTH,
    MOUTH_NAMES,
    MOUTHS,
    POSES,
    SHARED,
    vocabulary,
)
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.quoting import quoted

MAX_HEAD_BYTES = 128 << 20
MOST_TARGETS = 4096
"""Morph targets of a mesh."""
MOST_LISTED = 8
"""Names that a message lists."""
PACKED = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_meshopt_compression": "meshopt",
    "KHR_texture_basisu": "Basis textures",
}
"""Compressions that are not read."""
BONES = {"head": HEAD, "leftEye": LEFT_EYE, "rightEye": RIGHT_EYE}
"""VRM's names of the bones that turn, and their columns of rotations."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A morph target that an expression moves."""

    mesh: int
    target: int
    factor: float
    """The target's weight where the expression is 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """Something that the face of a head can do."""

    name: str
    """As the file spells it."""
    column: NDArray[np.float64]
    """[52]: ``clip(weights @ column, 0, 1)`` is its amount."""
    binds: tuple[Bind, ...]


@dataclass(frozen=True, eq=False)
class OwnHead:
    """A head that was read."""

    name: str
    """Of its file."""
    vocabulary: str
    """That moves its mouth, one of :data:`~emotalk_client.faces.vocabularies.MOUTHS`."""
    expressions: tuple[Expression, ...]
    missing: tuple[str, ...]
    """Names of that vocabulary that the file lacks."""
    whole: int
    """Names that the vocabulary has."""
    content: bytes

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> OwnHead:
        """Read the file ``path``; raises :class:`UnreadableHead`."""
        file = Path(path)
        try:
            size = file.stat().st_size
            if size > MAX_HEAD_BYTES:
                raise UnreadableHead(
                    f"{file.name} has {size / 2**20:.0f} MiB; accepted: at most {MAX_HEAD_BYTES >> 20} MiB"
                )
            content = file.read_bytes()
        except OSError as error:
            raise UnreadableHead(f"{file} cannot be read: {error.strerror or error}") from error
        return cls.of(content, file.name)

    @classmethod
    def of(cls, content: bytes, name: str) -> OwnHead:
        """Read the bytes of a file called ``name``.

        Raises:
            UnreadableHead: it is not binary glTF, refers to other files, is packed in a way that is not read, or
                nothing in it moves a mouth in a known vocabulary.
        """
        if content[:1] in (b"{", b"\xef"):
            raise UnreadableHead(f"{name} is glTF as text; accepted: binary glTF, a .glb or .vrm")
        try:
            document = Container.unpacked(content).document
            _check_whole(name, document)
            found = _Found.in_document(document)
        except BrokenContainer as fault:
            raise UnreadableHead(f"{name} is not binary glTF that can be read: {fault}") from fault
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise UnreadableHead(f"{name} is not glTF as its specification has it ({type(error).__name__})") from error
        expressions, spoken, missing = _chosen(name, found)
        return cls(name, spoken, tuple(expressions), tuple(missing), len(_whole(spoken)), content)

    def words(self) -> str:
        """Findings for people: how much it speaks, and what is missing."""
        said = f"{self.name} speaks {SPOKEN[self.vocabulary]}: {self.whole - len(self.missing)} of {self.whole}"
        return f"{said}; missing: {listed(self.missing)}" if self.missing else said

    def weights(self, faces: NDArray[np.float32]) -> dict[int, NDArray[np.float32]]:
        """Return the weights of each mesh that moves, [F, its targets], for ``faces`` [F, 52]."""
        container = Container.unpacked(self.content)
        out: dict[int, NDArray[np.float32]] = {}
        columns = np.stack([expression.column for expression in self.expressions], axis=1)
        amounts = np.clip(faces.astype(np.float64) @ columns, 0, 1)
        for amount, expression in zip(amounts.T, self.expressions, strict=True):
            for bind in expression.binds:
                if bind.mesh not in out:
                    count = len(container.document["meshes"][bind.mesh]["primitives"][0]["targets"])
                    out[bind.mesh] = np.zeros((len(faces), count), np.float32)
                out[bind.mesh][:, bind.target] += (bind.factor * amount).astype(np.float32)
        return out

    @property
    def _looks(self) -> bool:
        gaze = [INDEX[name] for name in BLENDSHAPES if name.startswith(GROUPS[LOOKING])]
        return any(expression.column[gaze].any() for expression in self.expressions)

    def container(self) -> Container:
        """Return the file, to be added to."""
        return Container.unpacked(self.content)

    def turned(self, rotations: NDArray[np.float32]) -> dict[int, NDArray[np.float32]]:
        """Return the rotations, [F, 4] quaternions (x, y, z, w), of each node that turns with ``rotations`` [F, 9].

        Eyes turn by their bones where no expression moves them.
        """
        document = Container.unpacked(self.content).document
        parents = {child: node for node, found in enumerate(document["nodes"]) for child in found.get("children", [])}
        facing = _BACK if "VRM" in document.get("extensions", {}) else _FRONT
        out = {}
        for bone, columns in BONES.items():
            node = _bone(document, bone)
            if node is None or "matrix" in document["nodes"][node] or (bone != "head" and self._looks):
                continue
            around, above = np.array([0.0, 0, 0, 1]), parents.get(node)
            for _ in range(len(document["nodes"])):
                if above is None:
                    break
                around = product(_rest(document, above), around)
                above = parents.get(above)
            # The face's axes, as the bone's parent sees them; VRM 0.x looks the other way.
            axes = product(around * _INVERSE, facing)
            turn = product(product(axes, quaternions(rotations[:, columns])), axes * _INVERSE)
            out[node] = product(turn, _rest(document, node)).astype(np.float32)
        return out


_FRONT, _BACK = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0, 0.0])
"""Rotations of heads that look along z, and against it."""
_INVERSE = np.array([-1.0, -1.0, -1.0, 1.0])
"""Turns a unit quaternion into its inverse."""

SPOKEN = {
    "arkit": "ARKit's blendshapes",
    "oculus": "the Oculus visemes",
    "vrm": "the expressions of VRM 1.0",
    "vrm0": "the expressions of VRM 0.x",
    "rpm": "Ready Player Me's simple expressions",
}
"""Vocabularies, for people."""


def listed(names: tuple[str, ...]) -> str:
    """The first few of ``names``, and how many more there are."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


@dataclass(frozen=True, slots=True)
class _Found:
    """Expressions of a file by key: how it spells them, and what they move."""

    names: dict[str, str]
    binds: dict[str, list[Bind]]

    @classmethod
    def in_document(cls, document: Mapping[str, Any]) -> _Found:
        found = cls({}, {})
        for mesh, number, name in _targets(document):
            found._add(name, Bind(mesh, number, 1.0))
        clips = _Found({}, {})
        for name, bind in (*_vrm0(document), *_vrm1(document)):
            clips._add(name, bind)
        # A clip of a VRM is what its maker means by the name.
        found.names.update(clips.names)
        found.binds.update(clips.binds)
        return found

    def _add(self, name: str, bind: Bind) -> None:
        self.names.setdefault(key(name), name)
        self.binds.setdefault(key(name), []).append(bind)


def _check_whole(name: str, document: Mapping[str, Any]) -> None:
    """Raise :class:`UnreadableHead` where something that is not in the file is needed to show it."""
    for extension in document.get("extensionsRequired", []):
        if extension in PACKED:
            raise UnreadableHead(
                f"{name} is packed with {PACKED[extension]} ({extension}), which is not read; accepted: files that "
                "are not"
            )
    for kind in ("buffers", "images"):
        for found in document.get(kind, []):
            if isinstance(address := found.get("uri"), str):
                raise UnreadableHead(
                    f"{name} keeps {kind} outside of itself ({quoted(address[:60])}); accepted: files that are whole"
                )


def _targets(document: Mapping[str, Any]) -> Iterator[tuple[int, int, str]]:
    """Mesh, number and name of every morph target that has a name."""
    for number, mesh in enumerate(document.get("meshes", [])):
        first = mesh["primitives"][0]
        count = len(first.get("targets", []))
        if count > MOST_TARGETS:
            raise BrokenContainer(f"mesh {number} has {count} morph targets; accepted: at most {MOST_TARGETS}")
        names = mesh.get("extras", {}).get("targetNames") or first.get("extras", {}).get("targetNames") or []
        for target, name in enumerate(names[:count]):
            if isinstance(name, str):
                yield number, target, name


def _vrm0(document: Mapping[str, Any]) -> Iterator[tuple[str, Bind]]:
    groups = document.get("extensions", {}).get("VRM", {}).get("blendShapeMaster", {}).get("blendShapeGroups", [])
    for group in groups:
        preset = group.get("presetName", "unknown")
        name = group.get("name", "") if preset in ("unknown", "") else preset
        for bind in group.get("binds") or []:
            yield name, _bind(document, bind["mesh"], bind["index"], bind["weight"] / 100)


def _vrm1(document: Mapping[str, Any]) -> Iterator[tuple[str, Bind]]:
    kinds = document.get("extensions", {}).get("VRMC_vrm", {}).get("expressions", {})
    for kind in ("preset", "custom"):
        for name, expression in (kinds.get(kind) or {}).items():
            for bind in expression.get("morphTargetBinds") or []:
                mesh = document["nodes"][bind["node"]]["mesh"]
                yield name, _bind(document, mesh, bind["index"], bind["weight"])


def _bind(document: Mapping[str, Any], mesh: int, target: int, factor: float) -> Bind:
    if not 0 <= target < len(document["meshes"][mesh]["primitives"][0].get("targets", [])):
        raise BrokenContainer(f"an expression moves target {target} of mesh {mesh}, which is not there")
    return Bind(mesh, target, float(factor))


def _chosen(file: str, found: _Found) -> tuple[list[Expression], str, list[str]]:
    """The expressions that move, the vocabulary of the mouth, and what the file lacks of it."""
    mouths = {name: [key(one) in found.names for one in _mouth(name)] for name in MOUTHS}
    shares = {name: sum(there) / len(there) for name, there in mouths.items()}
    spoken = next((name for name, share in shares.items() if share >= 0.5), max(shares, key=lambda one: shares[one]))
    if not shares[spoken]:
        names = tuple(found.names.values())
        has = f"its {len(names)} expressions ({listed(names)})" if names else "its morph targets have no names:"
        raise UnreadableHead(
            f"{file} has no mouth that can be moved: {has} are not in any vocabulary that is known; accepted: ARKit's "
            "blendshapes, the Oculus visemes, expressions of VRM or Ready Player Me"
        )
    chosen: dict[str, Expression] = {}

    def take(name: str, column: NDArray[np.float64]) -> None:
        if key(name) in found.names:
            chosen.setdefault(key(name), Expression(found.names[key(name)], column, tuple(found.binds[key(name)])))

    def take_group(name: str, group: str) -> bool:
        words = vocabulary(name)
        before = len(chosen)
        for one in POSES.get(name, {}).get(group, {}):
            take(one, words.matrix[:, words.names.index(one)])
        if group == LIDS and len(chosen) == before:
            for one, parts in SHARED.get(name, {}).items():
                take(one, np.mean([words.matrix[:, words.names.index(part)] for part in parts], axis=0))
        return len(chosen) > before

    identity = np.eye(len(BLENDSHAPES))
    for one in BLENDSHAPES:
        if spoken == "arkit" or one not in MOUTH_NAMES:
            take(one, identity[INDEX[one]])
    if spoken != "arkit":
        take_group(spoken, MOUTH)
    for group in GROUPS:
        arkit = [one for one in BLENDSHAPES if one.startswith(GROUPS[group])]
        if spoken == "arkit" and group not in (LIDS, LOOKING):
            continue
        if not any(key(one) in chosen for one in arkit):
            any(take_group(name, group) for name in (spoken, *MOUTHS[1:]))
    shared = {part for one, parts in SHARED.get(spoken, {}).items() if key(one) in chosen for part in parts}
    missing = [one for one in _whole(spoken) if key(one) not in chosen and one not in shared]
    return list(chosen.values()), spoken, missing


def _mouth(name: str) -> tuple[str, ...]:
    return MOUTH_NAMES if name == "arkit" else tuple(POSES[name][MOUTH])


def _whole(name: str) -> tuple[str, ...]:
    return BLENDSHAPES if name == "arkit" else vocabulary(name).names


def _bone(document: Mapping[str, Any], bone: str) -> int | None:
    """The node of a bone: as a VRM says, else by its name."""
    extensions = document.get("extensions", {})
    for found in extensions.get("VRM", {}).get("humanoid", {}).get("humanBones", []):
        if found.get("bone") == bone:
            return int(found["node"])
    told = extensions.get("VRMC_vrm", {}).get("humanoid", {}).get("humanBones", {}).get(bone)
    if told is not None:
        return int(told["node"])
    joints = {joint for skin in document.get("skins", []) for joint in skin.get("joints", [])}
    for number, node in enumerate(document["nodes"]):
        if number in joints and key(str(node.get("name", "")).rpartition(":")[2]) == bone.casefold():
            return number
    return None


def _rest(document: Mapping[str, Any], node: int) -> NDArray[np.float64]:
    return np.array(document["nodes"][node].get("rotation", [0, 0, 0, 1]), np.float64)
