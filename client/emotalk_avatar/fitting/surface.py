"""The head's skin laid on the face: where the picture shows each vertex, and where it rests when nothing is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import Base
from emotalk_avatar.fitting.plane import inside_by, smoothstep
from emotalk_avatar.fitting.posing import Pose, expression_of, eye_distance, pose_of
from emotalk_contract.arkit import BLENDSHAPE_COUNT, BLENDSHAPES, INDEX

OPEN_GAP = 0.06
"""Share of the mouth's width by which lips of an open mouth are apart. Of a closed one, rest is the picture."""
CONTACT = 0.2
"""Share of the resting head's own distance between the places of the lips' landmarks; less is tighter."""
KEPT_SMILE = 0.45
"""Share of a smile that stays when an open mouth is closed: creases and eyes in the picture go on smiling."""
SMILES = ("mouthSmile", "mouthDimple", "mouthStretch", "mouthPress", "mouthRoll")
ROUNDED = {"mouthPucker": 0.9, "mouthFunnel": 0.6}
"""Blendshapes that end such a smile, and how much of it."""
GOES = 0.32
"""Of the face's height: so far from its outline the surroundings go along. A wide open jaw moves half as far."""
SOFT = 0.05
"""Of the face's height: moves of the surroundings change little over less, so a grid can follow them."""
BAND = 0.06
"""Of the face's height: inside of the outline, over so much, the skin's moves turn into those of the surroundings."""
TURNED, TURNED_WITHIN = (0.10, 0.45), (0.12, 0.20)
"""Skin that turns away from the camera goes along too (share of its normal), near the outline (of the height)."""
STIFF, GLASSES_M = 0.85, (0.026, 0.045)
"""Share of the moves that skin under glasses does not make, and metres from the eyes' middles between which it ends."""
REACH = 0.35
"""Of the eyes' distance: no vertex goes farther from where the posed head has it."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The face's outline in the picture; what surrounds it goes along with it, less and less farther away."""

    points: NDArray[np.float64]
    """[36, 2] pixels."""
    tall: float
    """From the forehead to the chin, pixels."""

    @classmethod
    def of(cls, face: Face) -> Outline:
        """Return that of ``face``."""
        top, chin = face.landmarks[[mesh478.FOREHEAD, mesh478.CHIN], :2].astype(np.float64)
        return cls(face.landmarks[list(mesh478.OVAL), :2].astype(np.float64), float(np.linalg.norm(chin - top)))

    def moved(self, base: Base, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """[36, ..., 2]: moves of the outline where the skin's vertices move by ``offsets`` [V, ..., 3]."""
        oval = list(mesh478.OVAL)
        shares = base.shares[oval].reshape(len(oval), 3, *[1] * (offsets.ndim - 1))
        moved: NDArray[np.float64] = (offsets[base.corners[oval]] * shares).sum(axis=1)[..., :2]
        return moved

    def weights(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """[N, 36]: shares of the outline's moves that the surroundings at ``points`` [N, 2] make."""
        apart = np.linalg.norm(points[:, None] - self.points, axis=-1)
        weight = 1 / (apart + SOFT * self.tall) ** 3
        weight /= weight.sum(axis=1, keepdims=True)
        outside = np.maximum(-inside_by(points, self.points), 0)
        going: NDArray[np.float64] = weight * (1 - smoothstep(outside, 0, GOES * self.tall))[:, None]
        return going


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
    own: NDArray[np.float64]
    """[V]: share of the head's own move in each; the rest is that of the face's surroundings, 1 - own."""
    outline: Outline
    neutral: NDArray[np.float64]
    """[52]: the weights that were taken away from the picture's expression."""
    open: bool
    """True if the picture shows an open mouth."""


def mouth_gap(face: Face) -> float:
    """Share of the mouth's width that the lips are apart."""
    at = face.landmarks[:, :2]
    wide = np.linalg.norm(np.subtract(*at[list(mesh478.MOUTH_CORNER.values())]))
    return float(np.linalg.norm(at[mesh478.LIP_UPPER] - at[mesh478.LIP_LOWER]) / wide)


def laid(base: Base, face: Face, *, glasses: bool = False) -> Surface:
    """Lay the head on ``face``; ``glasses``: what lies under glasses moves little, and they with it."""
    pose, eyes = pose_of(base, face), eye_distance(face)
    expression = expression_of(base, face, pose)
    shown = pose.placed(base.skin.points + np.tensordot(expression, base.skin.moves, 1))
    opened = mouth_gap(face) > OPEN_GAP
    target = face.landmarks[: mesh478.MESH, :2].astype(np.float64)
    if not opened:
        _close(base, pose, target)
    left = target - base.at_landmarks(shown)[:, :2]
    shown[:, :2] += np.clip(base.matrix @ left, -REACH * eyes, REACH * eyes)
    moves = pose.moved(base.skin.moves)
    if glasses:
        moves *= (1 - STIFF * _under_glasses(base))[:, None]
    outline = Outline.of(face)
    share = _own_share(base, outline, shown)[:, None]
    going = outline.weights(shown[:, :2])
    around = going @ outline.moved(base, moves.transpose(1, 0, 2)).reshape(len(outline.points), -1)
    moves[..., :2] = share * moves[..., :2] + (1 - share) * around.reshape(len(shown), -1, 2).transpose(1, 0, 2)
    neutral = np.zeros(BLENDSHAPE_COUNT)
    if opened:
        neutral = expression * [1 - KEPT_SMILE if name.startswith(SMILES) else 1 for name in BLENDSHAPES]
    rest = shown
    if opened:
        rest = shown - np.tensordot(neutral, moves, 1)
        _release_smile(moves, expression - neutral)
    return Surface(pose, eyes, shown, rest, moves, share[:, 0], outline, neutral, opened)


def _under_glasses(base: Base) -> NDArray[np.float64]:
    """[V]: 1 where glasses are worn, 0 farther away."""
    at = base.at_landmarks(base.skin.points)
    lids = [[*mesh478.EYE_UPPER[side], *mesh478.EYE_LOWER[side]] for side in mesh478.EYE_UPPER]
    apart = [np.linalg.norm(base.skin.points - at[eye].mean(axis=0), axis=1) for eye in lids]
    return 1 - smoothstep(np.min(apart, axis=0), *GLASSES_M)


def _close(base: Base, pose: Pose, target: NDArray[np.float64]) -> None:
    """Bring the lips' inner borders among the landmarks ``target`` [468, 2] as near as those of the resting head.

    What is left of a gap by a landmark that is a pixel off would be a hole wherever the head's lips touch.
    """
    upper, lower = list(mesh478.INNER_UPPER[1:-1]), list(mesh478.INNER_LOWER[1:-1])
    rest = base.at_landmarks(pose.placed(base.skin.points))[:, :2]
    middle = (target[upper] + target[lower]) / 2
    half = CONTACT * (rest[lower] - rest[upper]) / 2
    target[upper], target[lower] = middle - half, middle + half


def _own_share(base: Base, outline: Outline, shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """[V]: 1 within the face, 0 from its outline on and where skin near it turns away from the camera."""
    inside = inside_by(shown[:, :2], outline.points) / outline.tall
    turned = smoothstep(base.facing, *TURNED) + smoothstep(inside, *TURNED_WITHIN)
    own: NDArray[np.float64] = smoothstep(inside, 0, BAND) * np.minimum(turned, 1)
    own[base.lips | base.cavity] = 1
    return own


def _release_smile(moves: NDArray[np.float64], kept: NDArray[np.float64]) -> None:
    """Let rounded lips take the rest of a smile away: nobody smiles with an "oo"."""
    smile = sum(kept[INDEX[f"mouthSmile{side}"]] * moves[INDEX[f"mouthSmile{side}"]] for side in ("Left", "Right"))
    for name, share in ROUNDED.items():
        moves[INDEX[name]] -= share * smile


def lip_middle(base: Base, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """[3]: the middle between the lips, of the skin's ``points`` [V, 3]."""
    at = base.at_landmarks(points)
    middle: NDArray[np.float64] = (at[mesh478.LIP_UPPER] + at[mesh478.LIP_LOWER]) / 2
    return middle
