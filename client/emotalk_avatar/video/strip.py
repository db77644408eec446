"""A row of poses: how an avatar looks when it says nothing, "aa", "oo", ... and blinks and smiles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.picturing import MAX_SIZE
from emotalk_avatar.video.scene import Scene, read_scene
from emotalk_contract.arkit import BLENDSHAPE_COUNT, INDEX

FACE = "avatar-face"
"""The surface whose place a cell shows."""
WIDER = 1.25
"""Side of a cell, by the longer side of the face."""
POSES: Mapping[str, Mapping[str, float]] = {
    "rest": {},
    "aa": {"jawOpen": 0.6, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    "oo": {"jawOpen": 0.15, "mouthFunnel": 0.35, "mouthPucker": 0.75},
    "ee": {"jawOpen": 0.12, "mouthStretch": 0.45, "mouthSmile": 0.3, "mouthUpperUp": 0.2, "mouthLowerDown": 0.35},
    "mm": {"mouthPress": 0.5, "mouthRollLower": 0.25, "mouthRollUpper": 0.2},
    "f": {"jawOpen": 0.06, "mouthRollLower": 0.65, "mouthUpperUp": 0.25, "mouthShrugLower": 0.1},
    "blink": {"eyeBlink": 1.0},
    "smile": {"mouthSmile": 0.7, "cheekSquint": 0.4},
}
"""By name: blendshapes; those without their side are of both."""


def strip(content: bytes | None = None, side: int = 240) -> NDArray[np.uint8]:
    """Return all poses of an avatar's glTF, or of the bundled head, side by side: RGB [side, side * 8, 3].

    Raises:
        DamagedAvatar: ``content`` cannot be drawn.
        NoDisplay, MissingExtra: nothing can be drawn here.
    """
    scene = None if content is None else read_scene(content)
    left, top, share = (0.0, 0.0, 1.0) if scene is None else _face(scene)
    # Twice as large as the cell, which smoothes edges.
    whole = min(2 * round(side / share), MAX_SIZE)
    drawing = Drawing(content, (whole, whole))
    try:
        x, y, cell = round(left * whole), round(top * whole), min(round(share * whole), whole)
        cells = [drawing.draw(_weights(pose))[y : y + cell, x : x + cell].copy() for pose in POSES.values()]
    finally:
        drawing.close()
    return np.concatenate([_sized(one, side) for one in cells], axis=1)


def _weights(pose: Mapping[str, float]) -> NDArray[np.float32]:
    weights = np.zeros(BLENDSHAPE_COUNT, np.float32)
    for name, value in pose.items():
        for full in (name,) if name in INDEX else (f"{name}Left", f"{name}Right"):
            weights[INDEX[full]] = value
    return weights


def _face(scene: Scene) -> tuple[float, float, float]:
    """Left, top and side of the square around an avatar's face, in shares of the square that its photograph fills."""
    nowhere = np.zeros((1, 2), np.float32)
    points = np.concatenate([s.points[:, :2] for s in scene.surfaces if s.name == FACE] or [nowhere])
    assert scene.frame is not None  # noqa: S101  # an avatar's has one
    left, top, right, bottom = scene.frame
    whole = min(right - left, top - bottom)
    low, high = points.min(axis=0), points.max(axis=0)
    side = min(WIDER * float((high - low).max()) / whole, 1.0)
    middle = (low + high) / 2
    x = 0.5 + (float(middle[0]) - (left + right) / 2) / whole
    y = 0.5 - (float(middle[1]) - (top + bottom) / 2) / whole
    return min(max(x - side / 2, 0.0), 1 - side), min(max(y - side / 2, 0.0), 1 - side), side


def _sized(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    from PIL import Image

    if pixels.shape[:2] == (side, side):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))
