"""The head's skin laid on the face: where the picture shows each vertex, and where it rests when nothing is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import Base
from emotalk_avatar.fitting.posing import Pose, expression_of, eye_distance, pose_of
from emotalk_contract.arkit import BLENDSHAPE_COUNT, BLENDSHAPES

OPEN_GAP = 0.06
"""Share of the mouth's width by which lips of an open mouth are apart. Of a closed one, rest is the picture."""
KEPT_SMILE = 0.45
"""Share of a smile that stays when an open mouth is closed: creases and eyes in the picture go on smiling."""
SMILES = ("mouthSmile", "mouthDimple", "mouthStretch", "mouthPress", "mouthRoll")
REACH = 0.35
"""Of the eyes' distance: no vertex goes farther from where the posed head has it."""


@dataclass(frozen=True, slots=True)
class Surface:
    """The skin, in pixels."""

    pose: Pose
    eyes: float
    """Between the outer corners of the eyes, pixels."""
    shown: NDArray[np.float64]
    """[V, 3]: where the picture shows the vertices."""
    rest: NDArray[np.float64]
    """[V, 3]: where they are at weights of 0."""
    moves: NDArray[np.float64]
    """[52, V, 3] at weight 1."""
    neutral: NDArray[np.float64]
    """[52]: the weights that were taken away from the picture's expression."""
    open: bool
    """True if the picture shows an open mouth."""


def mouth_gap(face: Face) -> float:
    """Share of the mouth's width that the lips are apart."""
    at = face.landmarks[:, :2]
    wide = np.linalg.norm(np.subtract(*at[list(mesh478.MOUTH_CORNER.values())]))
    return float(np.linalg.norm(at[mesh478.LIP_UPPER] - at[mesh478.LIP_LOWER]) / wide)


def laid(base: Base, face: Face) -> Surface:
    """Lay the head on ``face``."""
    pose, eyes = pose_of(base, face), eye_distance(face)
    expression = expression_of(base, face, pose)
    shown = pose.placed(base.skin.points + np.tensordot(expression, base.skin.moves, 1))
    left = (face.landmarks[: mesh478.MESH] - base.at_landmarks(shown))[:, :2]
    shown[:, :2] += np.clip(base.matrix @ left, -REACH * eyes, REACH * eyes)
    moves = pose.moved(base.skin.moves)
    neutral = np.zeros(BLENDSHAPE_COUNT)
    opened = mouth_gap(face) > OPEN_GAP
    if opened:
        neutral = expression * [1 - KEPT_SMILE if name.startswith(SMILES) else 1 for name in BLENDSHAPES]
    return Surface(pose, eyes, shown, shown - np.tensordot(neutral, moves, 1), moves, neutral, opened)


def lip_middle(base: Base, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """[3]: the middle between the lips, of the skin's ``points`` [V, 3]."""
    at = base.at_landmarks(points)
    middle: NDArray[np.float64] = (at[mesh478.LIP_UPPER] + at[mesh478.LIP_LOWER]) / 2
    return middle
