"""Pictures of a neural renderer, put back where they were cut out, with a soft edge."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.renderers.crops import resized
from emotalk_contract import renderers as facts

FEATHER = 0.08
"""Share of a patch's side over which it fades into the picture."""


def pasted(pixels: NDArray[np.uint8], patch: NDArray[np.uint8], box: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return RGB ``pixels`` [height, width, 3] with ``patch`` [h, w, 3] drawn over ``box``, as far as that is inside.

    Args:
        box: left, top, right, bottom, pixels; the patch is drawn as large as it.
    """
    left, top, right, bottom = map(int, box)
    height, width = pixels.shape[:2]
    size = max(1, bottom - top), max(1, right - left)
    rows, columns = slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))
    out = pixels.copy()
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return out
    within = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    drawn = resized(patch, size[1], size[0])[within].astype(np.float32)
    weight = _edge(*size)[within]
    behind = pixels[rows, columns].astype(np.float32)
    out[rows, columns] = np.rint(behind + (drawn - behind) * weight).astype(np.uint8)
    return out


def framed(crop: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the UNet's ``crop`` [328, 328, 3] with what it drew, ``image`` [320, 320, 3], within its rim."""
    rim = facts.UNET_RIM
    out = crop.copy()
    out[rim:-rim, rim:-rim] = image
    return out


@lru_cache(maxsize=64)
def _edge(height: int, width: int) -> NDArray[np.float32]:
    """Return how much of a patch shows, [height, width, 1]: nothing at its edge, all of it further in."""

    def rise(length: int) -> NDArray[np.float64]:
        place = np.arange(length) + 0.5
        x = np.clip(np.minimum(place, length - place) / max(1.0, FEATHER * length), 0, 1)
        return x * x * (3 - 2 * x)

    return (rise(height)[:, None] * rise(width))[..., None].astype(np.float32)
