"""The packets that an MP4 file claims, counted before a decoder is asked to make room for all of them.

A few bytes can claim 2^31 packets; FFmpeg's libraries would reserve some 40 bytes for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from emotalk_client.errors import UnreadableAudio

MOST_PACKETS = 4_000_000
"""Of a file: 23 hours of AAC, and 200 MB of tables."""
MOST_BOXES = 500_000
"""Of a file, in all."""

_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
_DEEPEST = 8
_UNCOMPRESSED = {
    *(b"raw ", b"twos", b"sowt", b"lpcm", b"ipcm", b"fpcm", b"in24", b"in32", b"fl32", b"fl64", b"NONE"),
    *(b"ulaw", b"alaw", b"ima4", b"agsm", b"MAC3", b"MAC6"),
}
"""Codings of which every sample is a packet: many of these are one entry in a decoder's table."""


def check_packets(file: BinaryIO, name: str) -> None:
    """Raise :class:`UnreadableAudio` for an MP4 ``file`` that claims more packets than anybody needs.

    Reads the boxes' heads only; leaves the file somewhere.
    """
    size = file.seek(0, os.SEEK_END)
    packets = 0
    coding = b""
    for number, (kind, start, end) in enumerate(_boxes(file, 0, size, 0), 1):
        if number > MOST_BOXES:
            raise UnreadableAudio(f"{name} has more than {MOST_BOXES} boxes; accepted: at most that")
        if kind == b"stsd":
            coding = _read(file, start + 12, end, 4)
        elif kind in (b"stsz", b"stz2"):
            count = int.from_bytes(_read(file, start + 8, end, 4), "big")
            packets += count if coding not in _UNCOMPRESSED or count > size else 0
        elif kind == b"trun":
            packets += int.from_bytes(_read(file, start + 4, end, 4), "big")
        if packets > MOST_PACKETS:
            raise UnreadableAudio(
                f"{name} claims {packets} packets of sound in {size} bytes; accepted: at most {MOST_PACKETS}"
            )


def _boxes(file: BinaryIO, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, first byte of the content, byte after it) of boxes, and of those within."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        length: int = int.from_bytes(head[:4], "big")
        kind, content = head[4:8], start + 8
        if length == 1 and len(head) == 16:
            length, content = int.from_bytes(head[8:], "big"), start + 16
        elif length == 0:
            length = end - start
        stop = min(end, start + max(length, content - start))
        yield kind, content, stop
        if kind in _PARENTS and depth < _DEEPEST:
            yield from _boxes(file, content, stop, depth + 1)
        start = stop


def _read(file: BinaryIO, start: int, end: int, count: int) -> bytes:
    file.seek(start)
    return file.read(max(0, min(count, end - start)))
