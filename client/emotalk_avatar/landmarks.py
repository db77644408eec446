"""The landmarks of a face: which are which, and where a network is to look for them.

The numbers are those of MediaPipe's Face Mesh. The picture's right is the person's left.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.warping import Region
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 61, 291
UPPER_LIP_INNER, LOWER_LIP_INNER = 13, 14
FOREHEAD, CHIN = 10, 152

MARGIN = 1.5
"""Side of the square that the landmark network wants to see, by that of the face's own box."""

EXPRESSION_LANDMARKS: tuple[int, ...] = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81,
    82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154,
    155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263,
    267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321,
    323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387,
    388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip
"""Those from which the expression is read, in the network's order."""

EXPRESSION_NAMES: tuple[str | None, ...] = (None, *(name for name in INDEX if name != "tongueOut"))
"""Of the network's scores, in its order; the first, of a neutral face, is not a blendshape. It knows no tongue."""


def weights_of(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights [n, 52], ARKit's, of the expression network's ``scores`` [n, 52]; the tongue's are 0."""
    weights = np.zeros((len(scores), BLENDSHAPE_COUNT), np.float32)
    for column, name in enumerate(EXPRESSION_NAMES):
        if name is not None:
            weights[:, INDEX[name]] = np.clip(scores[:, column], 0, 1)
    return weights


def expression_points(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the points [146, 2] of ``landmarks`` [478, 3] as the expression network wants them."""
    points: NDArray[np.float32] = landmarks[list(EXPRESSION_LANDMARKS), :2]
    return np.ascontiguousarray(points)


def interocular(landmarks: NDArray[np.float32]) -> float:
    """Return the pixels between the outer corners of the eyes."""
    return float(np.linalg.norm(landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]))


def roll(landmarks: NDArray[np.float32]) -> float:
    """Return the radians by which the line of the eyes leans, clockwise as seen."""
    along = landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]
    return math.atan2(float(along[1]), float(along[0]))


def region_of(landmarks: NDArray[np.float32]) -> Region:
    """Return the square in which the network is to look again for a face with these ``landmarks``."""
    angle = roll(landmarks)
    axes = Region(0, 0, 1, angle).axes()
    turned = landmarks[:, :2] @ axes
    low, high = turned.min(axis=0), turned.max(axis=0)
    x, y = axes @ ((low + high) / 2)
    return Region(float(x), float(y), MARGIN * float(np.max(high - low)), angle)
