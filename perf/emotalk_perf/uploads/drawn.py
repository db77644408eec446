"""Whole uploads to begin from: a face-like drawing in every format and mode that is taken."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

from emotalk_client.audio import media
from emotalk_contract.quoting import quoted

SIZE = (96, 72)
PHOTOGRAPH_SIDE = 512
"""Pixels of a photograph's longer side."""


class InvalidPhotograph(ValueError):
    """A file to begin from that is not a picture."""


def picture(number: int = 0) -> Image.Image:
    """Return a drawing of an oval with eyes and mouth on noise, moved by ``number``."""
    noise = np.random.default_rng(number).integers(0, 64, (SIZE[1], SIZE[0], 3), np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    draw.ellipse((28 + number, 8, 68 + number, 64), fill=(200, 150, 120))
    for x in (38, 54):
        draw.ellipse((x + number, 28, x + 5 + number, 32), fill=(30, 30, 30))
    draw.line((42 + number, 50, 54 + number, 50), fill=(150, 60, 60), width=2)
    return image


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pictures(photographs: Sequence[Path] = ()) -> dict[str, bytes]:
    """Return uploads of one picture by name.

    Args:
        photographs: whose faces are to come through, beside the drawing.

    Raises:
        InvalidPhotograph: one cannot be read.
    """
    uploads = _of(picture(), picture(6))
    for path in photographs:
        try:
            with Image.open(path) as photograph:
                shown = photograph.convert("RGB")
        except (OSError, ValueError) as error:
            raise InvalidPhotograph(f"{quoted(str(path))} is not a picture ({error}); accepted: a photograph") from None
        shown.thumbnail((PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE))
        uploads |= {f"{path.name}, {kind}": _saved(shown, kind) for kind in ("JPEG", "PNG", "WEBP")}
    return uploads


def _of(image: Image.Image, second: Image.Image) -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a camera"
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # when it was made
    return {
        "jpeg": _saved(image, "JPEG", exif=exif.tobytes(), icc_profile=bytes(profile)),
        "jpeg, progressive": _saved(image, "JPEG", progressive=True),
        "jpeg, four colours": _saved(image.convert("CMYK"), "JPEG"),
        "jpeg of two": _saved(image, "MPO", save_all=True, append_images=[second]),
        "png": _saved(image, "PNG", exif=exif.tobytes(), icc_profile=bytes(profile)),
        "png, transparent": _saved(image.convert("RGBA"), "PNG"),
        "png, palette": _saved(image.quantize(16), "PNG"),
        "png, 16 bits": _saved(image.convert("L").convert("I;16"), "PNG"),
        "png, animated": _saved(image, "PNG", save_all=True, append_images=[second]),
        "webp": _saved(image, "WEBP", exif=exif.tobytes()),
        "webp, lossless": _saved(image.convert("RGBA"), "WEBP", lossless=True),
        "gif": _saved(image, "GIF"),
    }


def clips() -> dict[str, bytes]:
    """Return uploads of several frames by name; videos where PyAV is installed."""
    frames = [picture(number) for number in range(0, 12, 2)]
    moving = {
        "gif, animated": _saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80),
        "webp, animated": _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=80),
    }
    if media.installed():
        moving |= {
            "mp4": _filmed(frames, "mpeg4", "mp4"),
            "webm": _filmed(frames, "libvpx", "webm"),
        }
    return moving


def _filmed(frames: list[Image.Image], codec: str, container: str) -> bytes:
    import av

    file = io.BytesIO()
    made: Any
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as made:
        stream = made.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")):
                made.mux(packet)
        for packet in stream.encode():
            made.mux(packet)
    return file.getvalue()
