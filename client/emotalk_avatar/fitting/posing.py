"""The head's place in the picture, and the expression that is seen on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import Base
from emotalk_contract.arkit import BLENDSHAPE_COUNT, BLENDSHAPES, INDEX

LOOSE_WEIGHT = 0.05
"""Of landmarks that expressions move, where those that they do not move have 1."""
FITTED = tuple(
    name for name in BLENDSHAPES if name.startswith(("mouth", "jaw")) and name not in ("mouthClose", "jawForward")
)
"""The blendshapes that are looked for in the picture."""
PRIOR = 0.35
"""Weight of what the blendshape network sees against what the landmarks show."""
LANDMARK_WEIGHT = 10.0
"""Of a landmark that is off by the eyes' distance, where a weight that is off by 1 has ``PRIOR``."""
SWEEPS = 200


@dataclass(frozen=True, slots=True)
class Pose:
    """From the head's metres to pixels: ``scale * points @ turn.T + shift``."""

    scale: float
    """Pixels a metre."""
    turn: NDArray[np.float64]
    """[3, 3], a rotation."""
    shift: NDArray[np.float64]
    """[3] pixels: where the head's origin lies."""

    def placed(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels [..., 3] of places."""
        return self.moved(points) + self.shift

    def moved(self, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels [..., 3] of moves."""
        moved: NDArray[np.float64] = self.scale * offsets @ self.turn.T
        return moved


def eye_distance(face: Face) -> float:
    """Pixels between the outer corners of the eyes."""
    right, left = (face.landmarks[mesh478.EYE_OUTER[side], :2] for side in ("Right", "Left"))
    return float(np.linalg.norm(left - right))


def pose_of(base: Base, face: Face) -> Pose:
    """The similarity that lays the head's landmarks on the face's (S. Umeyama, PAMI 13(4), 1991), weighted."""
    source, target = base.at_landmarks(base.skin.points), face.landmarks[: mesh478.MESH].astype(np.float64)
    weight = np.full(mesh478.MESH, LOOSE_WEIGHT)
    weight[list(mesh478.RIGID)] = 1
    weight /= weight.sum()
    from_middle, to_middle = weight @ source, weight @ target
    source, target = source - from_middle, target - to_middle
    left, sizes, right = np.linalg.svd((target * weight[:, None]).T @ source)
    signs = np.array([1, 1, np.sign(np.linalg.det(left @ right))])
    turn = left @ np.diag(signs) @ right
    scale = float((sizes * signs).sum() / (weight @ (source**2).sum(axis=1)))
    return Pose(scale, turn, to_middle - scale * turn @ from_middle)


def expression_of(base: Base, face: Face, pose: Pose) -> NDArray[np.float64]:
    """Weights [52] of mouth and jaw as the landmarks of the lips show them, near to what the network sees.

    Bounded least squares, min |A w - b|² + PRIOR² |w - seen|² for 0 <= w <= 1, by coordinate descent.
    """
    lips, fitted = list(mesh478.LIPS), [INDEX[name] for name in FITTED]
    unit = eye_distance(face)
    nose = [1]
    moves = np.stack([base.at_landmarks(pose.moved(base.skin.moves[index])) for index in fitted])[..., :2]
    rest = (face.landmarks[: mesh478.MESH] - base.at_landmarks(pose.placed(base.skin.points)))[:, :2]
    matrix = (moves[:, lips] - moves[:, nose]).reshape(len(fitted), -1).T * (LANDMARK_WEIGHT / unit)
    aim = (rest[lips] - rest[nose]).ravel() * (LANDMARK_WEIGHT / unit)
    prior = np.clip(face.weights[fitted].astype(np.float64), 0, 1)
    gram = matrix.T @ matrix + PRIOR**2 * np.eye(len(fitted))
    pull = matrix.T @ aim + PRIOR**2 * prior
    weights = prior.copy()
    for _ in range(SWEEPS):
        for column in range(len(fitted)):
            step = (pull[column] - gram[column] @ weights) / gram[column, column]
            weights[column] = min(1.0, max(0.0, weights[column] + step))
    found = np.zeros(BLENDSHAPE_COUNT)
    found[fitted] = weights
    return found
