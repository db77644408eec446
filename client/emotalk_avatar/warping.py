"""Squares cut out of a picture, as networks want them.

Positions are those of edges: a picture of width w spans 0..w, and the middle of its first pixel lies at 0.5. So a
position means the same at every size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import MissingExtra

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Region:
    """A turned square of a picture."""

    x: float
    """Of its middle, pixels of the picture."""
    y: float
    size: float
    """Of a side, pixels."""
    angle: float = 0.0
    """Radians, clockwise as seen, by which what is upright in the square leans in the picture."""

    def axes(self) -> NDArray[np.float64]:
        """Return [2, 2]: where a square's x and y point to in the picture (columns), as long as 1."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])

    def to_picture(self, points: NDArray[np.floating[Any]], side: int) -> NDArray[np.float32]:
        """Return ``points`` [..., 2] or [..., 3] of the square, drawn ``side`` pixels wide, in pixels of the picture.

        A third coordinate is a depth, and only scaled.
        """
        scale = self.size / side
        placed = np.array(points, np.float64)
        placed[..., :2] = (placed[..., :2] - side / 2) @ self.axes().T * scale + [self.x, self.y]
        placed[..., 2:] *= scale
        return placed.astype(np.float32)


def cut(pixels: Pixels, region: Region, side: int) -> NDArray[np.float32]:
    """Return ``region`` of ``pixels`` [h, w, 3], drawn ``side`` pixels wide: [side, side, 3], 0..255.

    Between pixels it is bilinear; where the region is much larger than the square, means of whole pixels are taken
    first. Beyond the picture its edge goes on.
    """
    factor = max(1, int(region.size / side))
    origin = np.zeros(2)
    if factor > 1:
        pixels, origin = _smaller(pixels, region, factor)
    scale = region.size / side / factor
    steps = (np.arange(side) + 0.5 - side / 2) * scale
    (xx, xy), (yx, yy) = region.axes()
    centre = (np.array([region.x, region.y]) - origin) / factor
    x = centre[0] + xx * steps[None, :] + xy * steps[:, None] - 0.5
    y = centre[1] + yx * steps[None, :] + yy * steps[:, None] - 0.5
    return _bilinear(pixels, x, y)


def letterboxed(pixels: Pixels, part: tuple[int, int, int, int], side: int) -> tuple[NDArray[np.float32], Region]:
    """Return ``part`` of ``pixels`` in a square [side, side, 3], 0..255, black around it; and what the square shows.

    Args:
        part: left, top, right, bottom, pixels.
    """
    left, top, right, bottom = part
    scale = side / max(right - left, bottom - top)
    shown = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    margins = (side - shown[0]) // 2, (side - shown[1]) // 2
    square = np.zeros((side, side, 3), np.float32)
    image = _images()
    small = image.fromarray(pixels).resize(shown, image.Resampling.BILINEAR, box=part)
    square[margins[1] : margins[1] + shown[1], margins[0] : margins[0] + shown[0]] = np.asarray(small)
    x, y = left + (side / 2 - margins[0]) / scale, top + (side / 2 - margins[1]) / scale
    return square, Region(x, y, side / scale)


def filled(outline: NDArray[np.floating[Any]], side: int) -> NDArray[np.bool_]:
    """Return [side, side], True where the polygon ``outline`` [n, 2] covers a square of ``side`` pixels."""
    image = _images()
    from PIL import ImageDraw

    mask = image.new("1", (side, side))
    ImageDraw.Draw(mask).polygon([(float(x) - 0.5, float(y) - 0.5) for x, y in outline], fill=1)
    return np.asarray(mask)


def _images() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pictures need Pillow; install `emotalk-triton[avatar]`") from error
    return Image


def _smaller(pixels: Pixels, region: Region, factor: int) -> tuple[Pixels, NDArray[np.float64]]:
    """Return what is around ``region``, as means of ``factor`` by ``factor`` pixels, and where its corner was."""
    height, width = pixels.shape[:2]
    reach = region.size * math.sqrt(0.5) + 2 * factor
    left, right = _inside(region.x - reach, region.x + reach, width, factor)
    top, bottom = _inside(region.y - reach, region.y + reach, height, factor)
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    return np.asarray(_images().fromarray(part).reduce(factor)), np.array([left, top], float)


def _inside(first: float, last: float, length: int, least: int) -> tuple[int, int]:
    """Return ``first`` and ``last`` within 0..length, at least ``least`` apart where there is so much."""
    begin = int(np.clip(first, 0, max(0, length - least)))
    return begin, int(np.clip(math.ceil(last), min(length, begin + least), length))


def _bilinear(pixels: Pixels, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``pixels`` at the indices ``x``, ``y``, which may lie between them and beyond them."""
    height, width = pixels.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.minimum(x.astype(np.intp), max(0, width - 2)), np.minimum(y.astype(np.intp), max(0, height - 2))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across = (x - left).astype(np.float32)[..., None]
    down = (y - top).astype(np.float32)[..., None]
    upper = pixels[top, left] * (1 - across) + pixels[top, right] * across
    lower = pixels[bottom, left] * (1 - across) + pixels[bottom, right] * across
    found: NDArray[np.float32] = upper * (1 - down) + lower * down
    return found
