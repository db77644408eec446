"""The words on a picture that say that it is synthetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import MissingExtra

TEXT = "synthetic"
HEIGHT = 1 / 22
"""Of the letters, of the picture's shorter side."""
INK, PLATE = (255, 255, 255), (0, 0, 0)
OPACITY = 0.45
"""Of the plate behind the letters."""


class Mark:
    """The mark, for pictures of one size; raises :class:`MissingExtra` without Pillow."""

    def __init__(self, size: tuple[int, int]) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError as error:
            raise MissingExtra("a mark needs Pillow; install `emotalk-triton[video]`") from error
        width, height = size
        letters = max(10, round(min(size) * HEIGHT))
        font = ImageFont.load_default(letters)
        _, _, right, bottom = font.getbbox(TEXT)
        room = letters // 3
        plate = (min(width, round(right) + 2 * room), min(height, round(bottom) + 2 * room))
        ink = Image.new("L", plate)
        ImageDraw.Draw(ink).text((room, room - letters // 12), TEXT, 255, font)
        share = np.asarray(ink, np.float32)[..., None] / 255
        self._opacity = share + (1 - share) * OPACITY
        self._colour = share * INK + (1 - share) * OPACITY * np.array(PLATE, np.float32)
        self._rows, self._columns = slice(height - plate[1], height), slice(width - plate[0], width)

    def put(self, pixels: NDArray[np.uint8]) -> None:
        """Draw it into ``pixels``, RGB [height, width, 3], at the lower right."""
        under = pixels[self._rows, self._columns]
        under[:] = (under * (1 - self._opacity) + self._colour).astype(np.uint8)
