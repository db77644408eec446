"""Pictures into bytes, one by one, for a browser that decodes them as they come.

Rule that this module guards: **a picture in, a picture out at once**: nothing is held back to look ahead.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.video.errors import UnwritableVideo
from emotalk_avatar.video.framing import KEY, Coding
from emotalk_avatar.video.writing import GOP_S, import_av, tag_colours, yuv
from emotalk_client.errors import MissingExtra
from emotalk_contract.timing import FPS

BITS_PER_PIXEL = 4.0
"""A second of VP9: 1 Mbit/s at 512 by 512."""
JPEG_QUALITY = 80
MICROSECONDS = 1_000_000
_LEVELS = ((552_960, "20"), (1_105_920, "21"), (2_211_840, "30"), (4_423_680, "31"), (9_216_000, "40"))
"""Luma samples a second at most, of VP9's levels (webmproject.org, VP9 levels)."""
_OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "error-resilient": "1",
    "static-thresh": "100",
    "row-mt": "0",
}


class Encoder(Protocol):
    """Pictures of one size into one coding."""

    def encode(self, pixels: NDArray[np.uint8], key: bool) -> tuple[int, bytes]:
        """Return flags and bytes of RGB [height, width, 3]; ``key``: it shall be decoded by itself."""


def codec_of(coding: Coding, size: tuple[int, int]) -> str:
    """Return what WebCodecs calls it (VP9: ``vp09.<profile>.<level>.<bits>``), or a media type for single pictures."""
    if coding == "mjpeg":
        return "image/jpeg"
    samples = size[0] * size[1] * FPS
    level = next((name for most, name in _LEVELS if samples <= most), "41")
    return f"vp09.00.{level}.08"


def encoder(coding: Coding, size: tuple[int, int]) -> Encoder:
    """Return an encoder; raises :class:`MissingExtra` where its library is not installed."""
    return Vp9(size) if coding == "vp9" else Jpeg()


class Vp9:
    """VP9 without delay, a keyframe every two seconds and where one is asked for."""

    def __init__(self, size: tuple[int, int]) -> None:
        av = import_av()
        context = av.codec.CodecContext.create("libvpx-vp9", "w")
        context.width, context.height = size
        context.pix_fmt = "yuv420p"
        context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
        context.options = _OPTIONS
        context.thread_count = 1
        context.gop_size = round(GOP_S * FPS)
        context.bit_rate = round(BITS_PER_PIXEL * size[0] * size[1])
        tag_colours(context)
        self._context = context
        self._count = 0

    def encode(self, pixels: NDArray[np.uint8], key: bool) -> tuple[int, bytes]:
        """Return flags and bytes; raises :class:`UnwritableVideo`."""
        import av

        frame = yuv(pixels)
        frame.pts, frame.time_base = self._count, Fraction(1, FPS)
        if key:
            frame.pict_type = av.video.frame.PictureType.I
        self._count += 1
        try:
            packets = self._context.encode(frame)
        except av.error.FFmpegError as error:
            raise UnwritableVideo(f"a picture cannot be encoded: {error.strerror}") from error
        if len(packets) != 1:
            raise UnwritableVideo(f"{len(packets)} packets came of one picture; accepted: one")
        return KEY if packets[0].is_keyframe else 0, bytes(packets[0])


class Jpeg:
    """Each picture by itself."""

    def __init__(self) -> None:
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtra("pictures need Pillow; install `emotalk-triton[video]`") from error
        self._image = Image

    def encode(self, pixels: NDArray[np.uint8], key: bool) -> tuple[int, bytes]:  # noqa: ARG002  # all are
        """Return flags and bytes."""
        out = io.BytesIO()
        self._image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY)
        return KEY, out.getvalue()
