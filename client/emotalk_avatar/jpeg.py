"""Pictures as JPEG, encoded anew: nothing of the file that they came from is in them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import MissingExtra

QUALITY = 92
"""Of libjpeg, 1..95, with all of the colour (4:4:4)."""
PREVIEW_SIDE = 256
PREVIEW_MARGIN = 1.8
"""Side of the preview, in those of the face's box."""


def encoded(pixels: NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """Return RGB ``pixels`` [height, width, 3] as a file, without metadata.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("avatars need Pillow; install `emotalk-triton[avatar]`") from error
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling=0)  # optimize fails on noise
    return out.getvalue()


def square(
    pixels: NDArray[np.uint8], box: tuple[float, float, float, float], side: int, margin: float
) -> NDArray[np.uint8]:
    """Return [side, side, 3]: the square around ``box``, as far as the picture goes.

    Args:
        pixels: RGB [height, width, 3].
        box: left, top, right, bottom in pixels.
        side: pixels of the result.
        margin: the square's side, in those of the box.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("avatars need Pillow; install `emotalk-triton[avatar]`") from error
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    size = max(1.0, min(margin * max(right - left, bottom - top), width, height))
    x = min(max((left + right - size) / 2, 0.0), width - size)
    y = min(max((top + bottom - size) / 2, 0.0), height - size)
    cut = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS, (x, y, x + size, y + size))
    return np.asarray(cut)
