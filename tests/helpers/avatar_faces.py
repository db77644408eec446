"""Faces to fit the head to, without a network: the head's own landmarks where a pose and an expression put them."""

import numpy as np

from emotalk_avatar.face import LANDMARKS, Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.base import base
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

SIZE = (480, 560)
"""Width and height of the pictures, pixels."""


def weights(**values):
    """[52] by name; a name without its side is of both."""
    found = np.zeros(BLENDSHAPE_COUNT, np.float32)
    for name, value in values.items():
        for full in [name] if name in INDEX else [f"{name}Left", f"{name}Right"]:
            found[INDEX[full]] = value
    return found


def face(expression=None, scale=1500.0, roll=0.0, wider=1.0):
    """The head in the middle of a picture; ``wider``: the face's width against the head's."""
    expression = weights() if expression is None else expression
    head = base()
    points = head.at_landmarks(head.skin.points + np.tensordot(expression, head.skin.moves, 1)) * [wider, 1, 1]
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    landmarks = np.zeros((LANDMARKS, 3))
    landmarks[: mesh478.MESH] = points @ turn.T * scale + [SIZE[0] / 2, SIZE[1] / 2, 0]
    for side, numbers in mesh478.IRIS.items():
        border = landmarks[list(mesh478.EYE_UPPER[side] + mesh478.EYE_LOWER[side])]
        landmarks[list(numbers)] = border.mean(axis=0)
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return Face(landmarks.astype(np.float32), expression, 1.0, (*low.tolist(), *high.tolist()))


def picture():
    """Smooth colours with fine grain."""
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width]
    grain = np.random.default_rng(3).normal(0, 3, (height, width, 1))
    colours = np.stack([150 + 60 * np.sin(x / 60), 110 + 40 * np.cos(y / 50), 90 + 30 * np.sin((x + y) / 80)], axis=-1)
    return Picture(np.clip(colours + grain, 0, 255).astype(np.uint8))
