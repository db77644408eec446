"""WAV files whose header does not tell how long they are.

Rule that this module guards: **a length that cannot be is a placeholder, and the file is read to its end; a length that
can be is believed, and a file that ends before it is truncated.** What writes to a pipe must write a header before it
knows the length. It writes 0, the largest number that fits, or some large round one.

A length cannot be if

- it is 0, and what follows are not further chunks;
- it is past the end of the file, and not whole frames, or not what the outer RIFF chunk says;
- it is past the end of the file, and from 2^30 on whole millions, or within 64 KiB of a power of two;
- it is past the end of the file, and more than half a day, or from 256 MiB on 16 times what is there.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from emotalk_client.audio.parts import Part
from emotalk_client.errors import TruncatedAudio, UnreadableAudio

MP3_TAG = 0x55
"""The format tag of mp3 inside WAV."""

_NEAR = 1 << 16
_HUGE = 1 << 28
_LARGE = 1 << 30
_FAR = 16
_SLOPPY = 64
"""Bytes by which writers miscount the outer chunk: some forget a header."""
_LONGEST_S = 12 * 3600
_UNTOLD_32 = 0xFFFFFFFF
_MOST_HEADER = 1 << 24
"""Bytes of chunks before the audio, at most: pictures may be among them."""
_MOST_CHUNKS = 1000
_KEPT = 1 << 16
"""Bytes of a format chunk, at most."""


@dataclass(frozen=True, slots=True)
class WavHeader:
    """The place of the audio in a WAV file."""

    order: str
    """``<``, or ``>`` for RIFX."""
    format: bytes
    """Content of the chunk ``fmt ``."""
    start: int
    """Byte of the first sample."""
    claimed: int
    """Bytes of audio that the header says."""
    there: int
    """Bytes of the file from ``start``."""
    placeholder: bool
    """True if ``claimed`` cannot be."""

    @property
    def tag(self) -> int:
        """The format's number."""
        tag: int = struct.unpack_from(self.order + "H", self.format)[0]
        return tag

    @property
    def samples(self) -> int:
        """Bytes of audio."""
        return self.there if self.placeholder else min(self.claimed, self.there)


def read_header(file: BinaryIO, name: str) -> WavHeader | None:
    """Return the header of the WAV ``file``, read from its beginning; None where it makes no sense.

    Raises:
        TruncatedAudio: the file ends before its header says.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    outer = file.read(12)
    if len(outer) < 12 or outer[8:] != b"WAVE":
        return None
    order = ">" if outer[:4] == b"RIFX" else "<"
    riff: int = struct.unpack(order + "I", outer[4:8])[0]
    wide = outer[:4] in (b"RF64", b"BW64")
    claimed_64: int | None = None
    form = b""
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return None
        kind, length = head[:4], struct.unpack(order + "I", head[4:])[0]
        start = file.tell()
        if kind == b"data":
            break
        if start + length > min(size, _MOST_HEADER):
            return None
        content = file.read(min(length, _KEPT))
        if kind == b"fmt ":
            form = content
        elif kind == b"ds64" and len(content) >= 16:
            riff, claimed_64 = struct.unpack_from("<QQ", content)
        file.seek(start + length + (length & 1))
    else:
        return None
    if len(form) < 16:
        return None
    claimed = claimed_64 if wide and claimed_64 is not None and length == _UNTOLD_32 else length
    there = size - start
    header = WavHeader(order, form, start, claimed, there, _cannot_be(order, form, start, claimed, there, riff, file))
    if claimed > there and not header.placeholder:
        raise TruncatedAudio(f"{name} is truncated: its header says {claimed} bytes of audio, {there} are there")
    return header


def _cannot_be(order: str, form: bytes, start: int, claimed: int, there: int, riff: int, file: BinaryIO) -> bool:
    align: int
    rate: int
    rate, align = struct.unpack_from(order + "IH", form, 8)
    if claimed == 0:
        return there > 0 and not _chunks_follow(file, start, there, order)
    if claimed <= there:
        return False
    whole = abs(riff + 8 - (start + there)) <= 1  # the outer chunk ends where the file does: nothing was cut
    outer = start + claimed - 8
    if whole or claimed % max(1, align) or not outer - _SLOPPY <= riff <= outer + _MOST_HEADER:
        return True
    return looks_made_up(claimed, there, rate)


def looks_made_up(claimed: int, there: int, bytes_a_second: int) -> bool:
    """Return whether ``claimed`` bytes, more than are ``there``, are a placeholder and not a recording's length."""
    if claimed >= _LARGE and (
        claimed % 1_000_000 == 0  # blocks of powers of two are what recorders write
        or any(abs(claimed - (1 << power)) <= _NEAR for power in range(30, 65))
    ):
        return True
    if bytes_a_second and claimed / bytes_a_second > _LONGEST_S:
        return True
    return claimed >= _HUGE and claimed > _FAR * there


def _chunks_follow(file: BinaryIO, start: int, there: int, order: str) -> bool:
    """Return whether the file goes on with chunks to its end, and so really holds no audio."""
    end = start + there
    for _ in range(_MOST_CHUNKS):
        file.seek(start)
        head = file.read(8)
        if not head:
            return True
        if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
            return False
        length: int = struct.unpack(order + "I", head[4:])[0]
        start += 8 + length + (length & 1)
        if start > end + 1:
            return False
    return False


def repaired(file: BinaryIO, header: WavHeader) -> Part:
    """Return ``file`` with a header that tells the true length."""
    size = header.there
    form = (
        struct.pack(header.order + "4sI", b"fmt ", len(header.format))
        + header.format
        + b"\0" * (len(header.format) & 1)
    )
    if size <= _UNTOLD_32 - _NEAR:
        outer = struct.pack(header.order + "I", 4 + len(form) + 8 + size)
        prefix = (b"RIFX" if header.order == ">" else b"RIFF") + outer + b"WAVE" + form
        return Part(file, header.start, size, prefix + struct.pack(header.order + "4sI", b"data", size))
    if header.order == ">":
        raise UnreadableAudio("the file is RIFX and larger than 4 GiB; accepted: RF64")
    wide = struct.pack("<4sIQQQI", b"ds64", 28, 4 + 36 + len(form) + 8 + size, size, 0, 0)
    prefix = b"RF64" + struct.pack("<I", _UNTOLD_32) + b"WAVE" + wide + form
    return Part(file, header.start, size, prefix + struct.pack("<4sI", b"data", _UNTOLD_32))
