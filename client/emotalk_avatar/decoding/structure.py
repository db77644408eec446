"""The kind of a file and the frames of an animation, told from its structure alone.

Nothing is decompressed here, and every step of a walk goes forward, so a file costs no more than its length. The
grammar of GIF is that of the GIF89a specification (CompuServe, 1990), that of WebP RFC 9649.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["jpeg", "png", "gif", "webp", "mp4", "webm"]

_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
_SHORTEST_DELAY_S = 0.02
"""Shorter ones are drawn as :data:`_USUAL_DELAY_S`, as browsers do."""
_USUAL_DELAY_S = 0.1


def kind_of(data: bytes) -> Kind | None:
    """Return the kind of the file ``data`` by its first bytes; None for what is not taken."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] in _MP4_BOXES:
        return "mp4"
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm"
    return None


def delays(data: bytes, kind: Kind) -> Iterator[float]:
    """Yield the seconds that each frame of an animation stands; of a still GIF or WebP, one; of other kinds, none.

    Where the file breaks off, so do they.
    """
    if kind == "gif":
        yield from (_stands(hundredths / 100) for hundredths in _gif_delays(data))
    elif kind == "webp":
        yield from (_stands(thousandths / 1000) for thousandths in _webp_delays(data))


def is_animated(data: bytes, kind: Kind) -> bool:
    """Return whether ``data`` has a second frame."""
    frames = delays(data, kind)
    return next(frames, None) is not None and next(frames, None) is not None


def _stands(seconds: float) -> float:
    return seconds if seconds >= _SHORTEST_DELAY_S else _USUAL_DELAY_S


def _gif_delays(data: bytes) -> Iterator[int]:
    """Yield hundredths of a second, one for each image."""

    def after_blocks(at: int) -> int:
        while at < len(data) and data[at]:
            at += 1 + data[at]
        return at + 1

    if len(data) < 13:
        return
    at = 13 + _colours(data[10])
    delay = 0
    while at < len(data):
        mark = data[at]
        if mark == 0x21 and at + 1 < len(data):  # an extension
            if data[at + 1] == 0xF9 and at + 6 < len(data):
                delay = int.from_bytes(data[at + 4 : at + 6], "little")
            at = after_blocks(at + 2)
        elif mark == 0x2C and at + 9 < len(data):  # an image
            yield delay
            delay = 0
            at = after_blocks(at + 11 + _colours(data[at + 9]))
        else:  # the end, or not a GIF any more
            return


def _colours(flags: int) -> int:
    """Return the bytes of the table of colours that ``flags`` tell of."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp_delays(data: bytes) -> Iterator[int]:
    """Yield thousandths of a second, one for each frame."""
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"ANMF" and at + 23 < len(data):
            yield int.from_bytes(data[at + 20 : at + 23], "little")
        elif name in (b"VP8 ", b"VP8L"):
            yield 0
        at += 8 + size + size % 2
