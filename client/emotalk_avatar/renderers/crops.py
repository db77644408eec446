"""The part of a picture that a neural renderer draws: which one, cut out, and as the network takes it.

Both networks were trained on crops by other networks' landmarks than ours. Wav2Lip's is a detector's box around the
face; ours is that of all landmarks, which reach from the hairline to the chin as that box does, and 10 pixels more
below. The UNet's is laid by the 110 points of PFLD: as wide as from point 1 to point 31 (both ends of the jaw's line,
beside the ears), square, and from point 52 (the bridge of the nose, a third of the way from between the eyes to its
tip) down. Of our 478 points these are 234, 454, and the same place between 168 and 4. Both are computed from the
landmarks that every avatar keeps: no face is looked for when it speaks, and an avatar may be older than the renderer.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import MissingExtra
from emotalk_contract import renderers as facts

Boxes: TypeAlias = NDArray[np.int32]
"""[n, 4]: left, top, right, bottom in pixels of the picture, beyond which they may reach."""

JAW_ENDS = (234, 454)
NOSE_BRIDGE, NOSE_TIP = 168, 4
BRIDGE_SHARE = 1 / 3
FACE_POINTS = 468
"""Without the irises."""
PAD_BELOW = 10
"""Pixels, as Wav2Lip has it."""
AVERAGED = 5
"""Boxes: a frame's own and the four that come next; at the end, the last five."""


def wav2lip_boxes(landmarks: NDArray[np.float32]) -> Boxes:
    """Return Wav2Lip's box in each of the frames of ``landmarks`` [n, 478, 3], steadied over some of them."""
    points = landmarks[:, :FACE_POINTS, :2]
    boxes = np.concatenate([points.min(1), points.max(1)], 1)
    boxes[:, 3] += PAD_BELOW
    steady = np.empty_like(boxes)
    for i in range(len(boxes)):
        first = min(i, max(0, len(boxes) - AVERAGED))
        steady[i] = boxes[first : first + AVERAGED].mean(0)
    return _whole(steady)


def unet_boxes(landmarks: NDArray[np.float32]) -> Boxes:
    """Return the UNet's square in each of the frames of ``landmarks`` [n, 478, 3]."""
    left, right = (landmarks[:, point, 0] for point in JAW_ENDS)
    bridge, tip = landmarks[:, NOSE_BRIDGE, 1], landmarks[:, NOSE_TIP, 1]
    top = bridge + BRIDGE_SHARE * (tip - bridge)
    side = np.maximum(right - left, 2)
    return _whole(np.stack([left, top, left + side, top + side], 1))


def cut(pixels: NDArray[np.uint8], box: NDArray[np.int32], side: int) -> NDArray[np.uint8]:
    """Return ``box`` of RGB ``pixels`` [h, w, 3], drawn [side, side, 3]; beyond the picture its edge goes on."""
    left, top, right, bottom = map(int, box)
    columns = np.clip(np.arange(left, max(right, left + 1)), 0, pixels.shape[1] - 1)
    rows = np.clip(np.arange(top, max(bottom, top + 1)), 0, pixels.shape[0] - 1)
    return resized(pixels[rows[:, None], columns], side, side)


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return RGB ``pixels`` [h, w, 3] drawn [height, width, 3], bicubic."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = _images()
    return np.asarray(image.fromarray(pixels).resize((width, height), image.Resampling.BICUBIC))


def wav2lip_input(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return RGB ``crops`` [n, 96, 96, 3] as Wav2Lip takes them, [n, 6, 96, 96]."""
    whole = _planes(crops)
    masked = whole.copy()
    masked[:, :, facts.WAV2LIP_MASK_TOP :] = 0
    return np.concatenate([masked, whole], 1)


def unet_input(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return RGB ``crops`` [n, 328, 328, 3] as the UNet takes them, [n, 6, 320, 320]: without their rims."""
    rim = facts.UNET_RIM
    whole = _planes(crops[:, rim:-rim, rim:-rim])
    masked = whole.copy()
    left, top, right, bottom = facts.UNET_MASK
    masked[:, :, top : bottom + 1, left : right + 1] = 0
    return np.concatenate([masked, whole], 1)


def pictures(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a network's ``images`` [n, 3, h, w], 0..1, as RGB [n, h, w, 3]."""
    found: NDArray[np.uint8] = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)
    return found


def _whole(boxes: NDArray[np.float32]) -> Boxes:
    found: Boxes = np.rint(boxes).astype(np.int32)
    return found


def _planes(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)


def _images() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("avatars need Pillow; install `emotalk-triton[avatar]`") from error
    return Image
