"""Vocabularies of faces: what rigs call their expressions, and each in terms of the 52 ARKit blendshapes.

Rule that this module guards: **one table.** Files, live outputs, exports and the page (which gets it as JSON) all move
a rig by the matrices of this module.

Theory of operation. Rigs with ARKit's 52 blendshapes have them under other spellings: each is a name. The others are
coarser: each of their expressions is *a pose*, the weights of ARKit's blendshapes that look like it (:data:`POSES`;
intensities are ours). A face f is taken apart into poses: with P [N, 52] the poses of one group, the amounts
``f P' (P P' + r I)^-1`` are those whose sum comes nearest to f, held down by r (ridge regression; Hoerl & Kennard,
Technometrics 12 (1970) 55). What they do not say is lost; what is below 0 counts as 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import InvalidMap
from emotalk_contract.arkit import BLENDSHAPE_COUNT, BLENDSHAPES, INDEX
from emotalk_contract.checking import is_number
from emotalk_contract.lips import gap_mm
from emotalk_contract.quoting import quoted

RIDGE = 0.05
"""Of the regression: poses that look alike share what they explain."""
PRESSED = 0.15
"""By which a lip that presses, at 1, lessens each expression that parts the lips: closed lips stay closed."""
MOST_FACTOR = 10.0
"""Largest factor in a map of one's own, either way."""
MOST_NAMES = 1000
MAX_MAP_BYTES = 1 << 20


def _both(**amounts: float) -> dict[str, float]:
    """``amounts`` of the left and of the right."""
    return {f"{name}{side}": amount for name, amount in amounts.items() for side in ("Left", "Right")}


Pose = Mapping[str, float]
_LIPS_OPEN = _both(mouthLowerDown=0.2, mouthUpperUp=0.15)
_AA: Pose = {"jawOpen": 0.6, **_LIPS_OPEN}
_E: Pose = {"jawOpen": 0.25, **_both(mouthStretch=0.4, mouthUpperUp=0.15, mouthLowerDown=0.2)}
_I: Pose = {"jawOpen": 0.1, **_both(mouthStretch=0.5, mouthDimple=0.3)}
_O: Pose = {"jawOpen": 0.35, "mouthFunnel": 0.5}
_U: Pose = {"jawOpen": 0.1, "mouthFunnel": 0.25, "mouthPucker": 0.6}
_BLINKS: dict[str, Pose] = {"Left": {"eyeBlinkLeft": 1}, "Right": {"eyeBlinkRight": 1}}
_BLINK: Pose = _both(eyeBlink=1)
_JOY: Pose = _both(mouthSmile=0.8, cheekSquint=0.4)
_ANGRY: Pose = _both(browDown=0.8, noseSneer=0.4)
_SAD: Pose = {"browInnerUp": 0.7, **_both(mouthFrown=0.6)}
_SURPRISED: Pose = _both(browOuterUp=0.8, eyeWide=0.6)
_LOOKS: dict[str, Pose] = {
    "Up": _both(eyeLookUp=1),
    "Down": _both(eyeLookDown=1),
    "Left": {"eyeLookOutLeft": 1, "eyeLookInRight": 1},
    "Right": {"eyeLookInLeft": 1, "eyeLookOutRight": 1},
}
"""Left is the person's."""

MOUTH, FEELING, LIDS, LOOKING = "mouth", "feeling", "lids", "looking"

POSES: dict[str, dict[str, dict[str, Pose]]] = {
    "oculus": {
        MOUTH: {
            "viseme_PP": _both(mouthPress=0.6),
            "viseme_FF": {"mouthRollLower": 0.6, **_both(mouthUpperUp=0.3)},
            "viseme_TH": {"tongueOut": 0.5, "jawOpen": 0.15},
            "viseme_DD": {"jawOpen": 0.15, **_both(mouthUpperUp=0.2, mouthLowerDown=0.3)},
            "viseme_kk": {"jawOpen": 0.2, **_both(mouthStretch=0.2, mouthUpperUp=0.2)},
            "viseme_CH": {"mouthFunnel": 0.5, "mouthShrugUpper": 0.2, **_both(mouthUpperUp=0.2)},
            "viseme_SS": _both(mouthStretch=0.3, mouthDimple=0.2, mouthLowerDown=0.4),
            "viseme_nn": {"jawOpen": 0.1, **_both(mouthLowerDown=0.3)},
            "viseme_RR": {"mouthFunnel": 0.3, "mouthPucker": 0.2, "jawOpen": 0.1},
            "viseme_aa": _AA,
            "viseme_E": _E,
            "viseme_I": _I,
            "viseme_O": _O,
            "viseme_U": _U,
        },
    },
    "vrm": {
        MOUTH: {"aa": _AA, "ih": _I, "ou": _U, "ee": _E, "oh": _O},
        FEELING: {"happy": _JOY, "angry": _ANGRY, "sad": _SAD, "surprised": _SURPRISED},
        LIDS: {"blinkLeft": _BLINKS["Left"], "blinkRight": _BLINKS["Right"]},
        LOOKING: {f"look{way}": pose for way, pose in _LOOKS.items()},
    },
    "vrm0": {
        MOUTH: {"A": _AA, "I": _I, "U": _U, "E": _E, "O": _O},
        FEELING: {"Joy": _JOY, "Angry": _ANGRY, "Sorrow": _SAD},
        LIDS: {"Blink_L": _BLINKS["Left"], "Blink_R": _BLINKS["Right"]},
        LOOKING: {f"Look{way}": pose for way, pose in _LOOKS.items()},
    },
    "rpm": {
        MOUTH: {"mouthOpen": {"jawOpen": 1}},
        FEELING: {"mouthSmile": _both(mouthSmile=1)},
        LIDS: {"eyesClosed": _BLINK},
        LOOKING: {"eyesLookUp": _LOOKS["Up"], "eyesLookDown": _LOOKS["Down"]},
    },
}
"""By vocabulary and group: expression → the pose that it is."""

GROUPS = {
    FEELING: ("mouthSmile", "mouthFrown"),
    LIDS: ("eyeBlink",),
    LOOKING: ("eyeLook",),
}
"""Groups beside the mouth, and the beginnings of ARKit's names for what they show."""
MOUTH_NAMES = tuple(name for name in BLENDSHAPES if name.startswith(("jaw", "mouth", "tongue", "cheekPuff")))
"""ARKit's blendshapes of the mouth."""

SHARED = {"vrm": {"blink": ("blinkLeft", "blinkRight")}, "vrm0": {"Blink": ("Blink_L", "Blink_R")}}
"""Expressions that stand for two others, where a rig lacks these."""
MOUTHS = ("arkit", "oculus", "vrm", "vrm0", "rpm")
"""Vocabularies, the finest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Names of expressions, and what each is of a face."""

    name: str
    names: tuple[str, ...]
    matrix: NDArray[np.float64]
    """[52, N]: ``clip(weights @ matrix, 0, 1)`` are the amounts of the expressions."""

    def of(self, weights: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the amounts [F, N] in 0..1 of the faces ``weights`` [F, 52]."""
        return np.clip(weights.astype(np.float64) @ self.matrix, 0, 1).astype(np.float32)


def _arkit(name: str, spelled: Sequence[str]) -> Vocabulary:
    return Vocabulary(name, tuple(spelled), np.eye(BLENDSHAPE_COUNT))


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]


def _taken_apart(poses: Mapping[str, Pose]) -> NDArray[np.float64]:
    """[52, N] of one group of ``poses``."""
    rows = np.zeros((len(poses), BLENDSHAPE_COUNT))
    for row, pose in zip(rows, poses.values(), strict=True):
        for name, amount in pose.items():
            row[INDEX[name]] = amount
    length = np.linalg.norm(rows, axis=1)
    unit = rows / length[:, None]  # so that r holds all down alike
    matrix: NDArray[np.float64] = unit.T @ np.linalg.inv(unit @ unit.T + RIDGE * np.eye(len(rows))) / length
    matrix *= 1 + RIDGE  # a pose by itself is whole
    matrix[INDEX["mouthClose"]] -= matrix[INDEX["jawOpen"]]  # closed lips hide an open jaw
    opens = gap_mm(rows.astype(np.float32)) > 0
    for name in ("mouthPressLeft", "mouthPressRight"):
        matrix[INDEX[name], opens] -= PRESSED
    return matrix


@cache
def vocabulary(name: str) -> Vocabulary:
    """Return the vocabulary ``name``, one of :data:`VOCABULARIES`; KeyError if it is not."""
    if name == "arkit":
        return _arkit(name, BLENDSHAPES)
    if name == "pascal":
        return _arkit(name, [_pascal(one) for one in BLENDSHAPES])
    groups = POSES[name]
    names = tuple(one for poses in groups.values() for one in poses)
    return Vocabulary(name, names, np.concatenate([_taken_apart(poses) for poses in groups.values()], axis=1))


VOCABULARIES = ("arkit", "pascal", *POSES)
"""Those that have a name."""


def table() -> dict[str, Any]:
    """The table as JSON, for readers in other languages: by vocabulary, group and expression what it is of a face.

    ``arkit``: the 52 names; ``mouth``: those of the mouth; ``mouths``: vocabularies, the finest first; ``groups``: the
    beginnings of ARKit's names by group; ``shared`` as :data:`SHARED`; ``factors``: vocabulary → group → expression →
    {blendshape: factor}.
    """
    factors: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name, groups in POSES.items():
        words = vocabulary(name)
        factors[name] = {
            group: {one: _factors(words.matrix[:, words.names.index(one)]) for one in poses}
            for group, poses in groups.items()
        }
    return {
        "arkit": BLENDSHAPES,
        "mouth": MOUTH_NAMES,
        "mouths": MOUTHS,
        "groups": GROUPS,
        "shared": SHARED,
        "factors": factors,
    }


def _factors(column: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(factor) for name, factor in zip(BLENDSHAPES, column, strict=True) if factor}


def vocabulary_of(asked: str) -> Vocabulary:
    """Return the vocabulary that ``--map`` asks for: a name of :data:`VOCABULARIES`, or a path of a ``.json``.

    Such a file is an object, name → {blendshape: factor}: ``{"MouthOpen": {"jawOpen": 1.0}}``.

    Raises:
        InvalidMap: it is neither.
    """
    if asked in VOCABULARIES:
        return vocabulary(asked)
    path = Path(asked)
    if path.suffix.lower() != ".json":
        raise InvalidMap(f"the map is {quoted(asked)}; accepted: {', '.join(VOCABULARIES)}, or a .json file")
    try:
        if path.stat().st_size > MAX_MAP_BYTES:
            raise InvalidMap(f"{path} is larger than {MAX_MAP_BYTES >> 20} MiB, which is the most that is read")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidMap(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidMap(f"{path} is not JSON") from error
    return _own(path, content)


def _own(path: Path, content: object) -> Vocabulary:
    example = 'accepted: an object such as {"MouthOpen": {"jawOpen": 1.0}}'
    if not isinstance(content, dict) or not content:
        raise InvalidMap(f"{path} is {quoted(content)}; {example}")
    if len(content) > MOST_NAMES:
        raise InvalidMap(f"{path} has {len(content)} names; accepted: at most {MOST_NAMES}")
    matrix = np.zeros((BLENDSHAPE_COUNT, len(content)))
    for column, (name, factors) in enumerate(content.items()):
        if not isinstance(factors, dict) or not name or not name.isprintable():
            raise InvalidMap(f"{path}: {quoted(name)} is {quoted(factors)}; {example}")
        for blendshape, factor in factors.items():
            if blendshape not in INDEX:
                raise InvalidMap(
                    f"{path}: {quoted(name)} is made of {quoted(blendshape)}; accepted: ARKit's 52 blendshapes, such "
                    "as 'jawOpen'"
                )
            if not (is_number(factor) and abs(factor) <= MOST_FACTOR):  # NaN fails too
                raise InvalidMap(
                    f"{path}: the factor of {quoted(blendshape)} in {quoted(name)} is {quoted(factor)}; accepted: "
                    f"-{MOST_FACTOR:g}..{MOST_FACTOR:g}"
                )
            matrix[INDEX[blendshape], column] = factor
    return Vocabulary(path.name, tuple(content), matrix)
