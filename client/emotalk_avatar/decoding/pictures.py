"""A picture's pixels, by Pillow, in the process that decodes.

Theory of operation. The header is read first, and what is too large is refused before a pixel is. JPEG is decoded at
a half, a quarter or an eighth where that is enough. Then rows are taken in bands: each is made RGB and smaller by a
whole factor before the next, so that a picture is in memory once, and what is made of it is small.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from emotalk_avatar import limits
from emotalk_avatar.decoding.frames import DecodedFrame, Refusal, too_large, unreadable

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
ACCEPTED = "JPEG, PNG, WEBP or GIF"
MAX_PIXELS = {"WEBP": limits.MAX_WEBP_PIXELS}
"""Of formats that take less than :data:`~emotalk_avatar.limits.MAX_PICTURE_PIXELS`."""

_BAND = 64
"""Rows of the smaller picture that are made at once."""
_WHITE = (255, 255, 255)
_ORIENTATION = 0x0112
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF's number of the orientation."""

Convert = Callable[[Image.Image], Image.Image]


def frames(file: BinaryIO) -> Iterator[DecodedFrame]:
    """Yield the one picture in ``file``, of an animation the first.

    Raises:
        Refusal: it is not taken.
    """
    image = opened(file.read())
    check_size(image)
    try:
        picture = small(image)
    except MemoryError:
        raise too_large(
            f"the picture takes more than {limits.PICTURE_MEMORY_BYTES // 10**6} MB of memory; accepted: less"
        ) from None
    yield DecodedFrame(picture.tobytes(), picture.width, picture.height, 0)


def opened(data: bytes) -> Image.Image:
    """Return the picture in ``data``, of which the header was read."""
    Image.MAX_IMAGE_PIXELS = None  # our own limits come first, and have words
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise unreadable(f"the file is not a picture, or a damaged one; accepted: {ACCEPTED}") from None
    except Exception as error:
        raise damaged(error) from error


def check_size(image: Image.Image) -> None:
    """Raise :class:`Refusal` where ``image`` is larger than is taken; its header says so."""
    most = MAX_PIXELS.get(image.format or "", limits.MAX_PICTURE_PIXELS)
    width, height = image.size
    if max(width, height) > limits.MAX_PICTURE_SIDE or width * height > most:
        raise too_large(
            f"the picture is {width} by {height} pixels, {width * height / 1e6:.1f} million; accepted: at most "
            f"{limits.MAX_PICTURE_SIDE} a side and {most / 1e6:g} million in a {image.format}"
        )


def small(image: Image.Image) -> Image.Image:
    """Return ``image`` upright, in sRGB, its longer side :data:`~emotalk_avatar.limits.KEPT_SIDE` at most."""
    share = min(1.0, limits.KEPT_SIDE / max(image.size))
    try:
        image.draft(None, (round(image.width * share), round(image.height * share)))
        image.load()
        check_size(image)  # a GIF's frame may be larger than its header said
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise damaged(error) from error
    turned = None
    with suppress(Exception):  # whatever is wrong with EXIF, the picture is not
        turned = _TURNED.get(image.getexif().get(_ORIENTATION, 1))
    picture = _banded(image, to_rgb(image))
    if max(picture.size) > limits.KEPT_SIDE:
        picture.thumbnail((limits.KEPT_SIDE, limits.KEPT_SIDE), Image.Resampling.LANCZOS)
    return picture if turned is None else picture.transpose(turned)


def damaged(error: Exception) -> Refusal:
    """Return the refusal of a picture of which a decoder said ``error``."""
    if isinstance(error, MemoryError):
        return too_large(f"the picture takes more than {limits.PICTURE_MEMORY_BYTES // 10**6} MB of memory")
    return unreadable(f"the picture is damaged ({str(error)[:200] or type(error).__name__}); accepted: a whole one")


def to_rgb(image: Image.Image) -> Convert:
    """Return what makes a part of ``image`` RGB: on white where it is transparent, in sRGB where it has a profile."""
    into_srgb = _profiled(image)
    transparent = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info

    def convert(part: Image.Image) -> Image.Image:
        if part.mode.startswith("I"):  # 16 bits, of which the upper 8 are kept
            part = part.point(lambda value: value * (1 / 256)).convert("L")
        if transparent and part.mode != "L":
            shown = part.convert("RGBA")
            part = Image.new("RGB", shown.size, _WHITE)
            part.paste(shown, mask=shown.getchannel("A"))
        elif part.mode not in ("RGB", "L", "CMYK"):
            part = part.convert("RGB")
        return into_srgb(part)

    return convert


def _profiled(image: Image.Image) -> Convert:
    """Return what takes RGB, L or CMYK into sRGB."""
    profile = image.info.get("icc_profile")
    mode = {"L": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    if profile:
        with suppress(Exception):  # of a profile that cannot be used, nothing
            transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB"
            )
            return lambda part: (
                (ImageCms.applyTransform(part, transform) or part) if part.mode == mode else part.convert("RGB")
            )
    return lambda part: part.convert("RGB")


def _banded(image: Image.Image, convert: Convert) -> Image.Image:
    """Return ``image`` in RGB, as means of as many pixels as its size is a multiple of what is kept."""
    factor = max(1, max(image.size) // limits.KEPT_SIDE)
    width, height = image.size
    made = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = _BAND * factor
    for top in range(0, height, rows):
        band = convert(image.crop((0, top, width, min(top + rows, height))))
        made.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    return made
