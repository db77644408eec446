"""Sizes and backgrounds, as people write them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.video.errors import InvalidVideo
from emotalk_client.errors import MissingExtra
from emotalk_contract.quoting import quoted

DEFAULT_SIZE = (512, 512)
"""Of a head."""
MIN_SIZE, MAX_SIZE = 64, 2160
"""Pixels of a side."""
ACCEPTED = f"WIDTHxHEIGHT such as 512x512, {MIN_SIZE}..{MAX_SIZE} pixels a side"
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_COLOUR = re.compile(r"#([0-9a-fA-F]{6})")


def read_size(text: str | None) -> tuple[int, int] | None:
    """Return ``512x512`` as (512, 512); None: nothing was said.

    Raises:
        InvalidVideo: it is not a size.
    """
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InvalidVideo(f"the size is {quoted(text)}; accepted: {ACCEPTED}")
    return check_size((int(found[1]), int(found[2])))


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return ``size`` made even, as the codecs want it; raise :class:`InvalidVideo` where a side is out of range."""
    width, height = size
    if not all(MIN_SIZE <= side <= MAX_SIZE for side in size):
        raise InvalidVideo(f"the size is {width}x{height}; accepted: {ACCEPTED}")
    return width & ~1, height & ~1


def read_colour(text: str) -> tuple[int, int, int]:
    """Return ``#RRGGBB`` as numbers; raise :class:`InvalidVideo` where it is not one."""
    found = _COLOUR.fullmatch(text)
    if found is None:
        raise InvalidVideo(f"the background is {quoted(text)}; accepted: #RRGGBB")
    red, green, blue = bytes.fromhex(found[1])
    return red, green, blue


def read_background(text: str | None, size: tuple[int, int] | None) -> tuple[int, int, int] | NDArray[np.uint8] | None:
    """Return a colour ``#RRGGBB``, or the picture in a file, scaled to fill ``size`` and cut, [height, width, 3].

    Raises:
        InvalidVideo: it is neither.
        MissingExtra: it is a picture, and Pillow is not installed.
    """
    if text is None:
        return None
    if text.startswith("#"):
        return read_colour(text)
    return _picture(Path(text), size or DEFAULT_SIZE)


def filled(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the RGB picture ``pixels`` scaled to fill ``size`` (width, height), cut evenly at its sides.

    Raises:
        MissingExtra: Pillow is not installed, and the size is another.
    """
    if pixels.shape[1::-1] == size:
        return pixels
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtra("a picture needs Pillow; install `emotalk-triton[video]`") from error
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), size), np.uint8)


def _picture(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtra("a picture needs Pillow; install `emotalk-triton[video]`") from error
    try:
        with Image.open(path, formats=["JPEG", "PNG", "WEBP"]) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            return filled(np.asarray(upright, np.uint8), size)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidVideo(
            f"the background {path} cannot be read ({error}); accepted: #RRGGBB, or a JPEG, PNG or WebP"
        ) from error
