"""Damage, drawn by a seed: single bytes, lengths, cuts, pieces moved and pieces of another file."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Values at which lengths and sizes go wrong."""
MOST = 8
"""Kinds of damage to one upload."""
_PNG = b"\x89PNG\r\n\x1a\n"

Damage = Callable[[bytearray, bytes, random.Random], bytearray]


def damaged(data: bytes, other: bytes, generator: random.Random) -> bytes:
    """Return ``data`` with one to :data:`MOST` kinds of damage, some with pieces of ``other``.

    Of half the PNGs the checksums are made right again: their decoder would look no further otherwise.
    """
    made = bytearray(data)
    for _ in range(generator.randint(1, MOST)):
        made = generator.choice(DAMAGES)(made, other, generator)
    if made.startswith(_PNG) and generator.random() < 0.5:
        made = checksummed(made)
    return bytes(made)


def checksummed(data: bytearray) -> bytearray:
    """Return the PNG ``data`` with the checksum that each of its chunks should have."""
    at = len(_PNG)
    made = bytearray(data)
    while at + 12 <= len(made):
        (length,) = struct.unpack_from(">I", made, at)
        end = at + 8 + length
        if end + 4 > len(made):
            break
        struct.pack_into(">I", made, end, zlib.crc32(made[at + 4 : end]))
        at = end + 4
    return made


def _place(data: bytearray, generator: random.Random) -> int:
    """Return a position, near the beginning as often as anywhere: headers are short."""
    if not data:
        return 0
    return generator.randrange(min(len(data), 64) if generator.random() < 0.5 else len(data))


def _bytes(data: bytearray, other: bytes, generator: random.Random) -> bytearray:  # noqa: ARG001  # a Damage
    for _ in range(generator.randint(1, 6) if data else 0):
        data[_place(data, generator)] = generator.randrange(256)
    return data


def _bit(data: bytearray, other: bytes, generator: random.Random) -> bytearray:  # noqa: ARG001  # likewise
    if data:
        data[_place(data, generator)] ^= 1 << generator.randrange(8)
    return data


def _number(data: bytearray, other: bytes, generator: random.Random) -> bytearray:  # noqa: ARG001  # likewise
    value, size = generator.choice(EXTREMES), generator.choice((1, 2, 4))
    at = _place(data, generator)
    order = generator.choice(("big", "little"))
    written = (value & (1 << 8 * size) - 1).to_bytes(size, "big" if order == "big" else "little")
    data[at : at + size] = written
    return data


def _cut(data: bytearray, other: bytes, generator: random.Random) -> bytearray:  # noqa: ARG001  # likewise
    return data[: _place(data, generator)] if generator.random() < 0.3 else data


def _without(data: bytearray, other: bytes, generator: random.Random) -> bytearray:  # noqa: ARG001  # likewise
    at = _place(data, generator)
    del data[at : at + generator.randint(1, 64)]
    return data


def _twice(data: bytearray, other: bytes, generator: random.Random) -> bytearray:  # noqa: ARG001  # likewise
    at = _place(data, generator)
    piece = bytes(data[at : at + generator.randint(1, 256)])
    data[at:at] = piece * generator.choice((1, 2, 16))
    return data


def _piece_of_another(data: bytearray, other: bytes, generator: random.Random) -> bytearray:
    at, start = _place(data, generator), generator.randrange(max(1, len(other)))
    data[at:at] = other[start : start + generator.randint(1, 512)]
    return data


def _noise(data: bytearray, other: bytes, generator: random.Random) -> bytearray:  # noqa: ARG001  # likewise
    at = _place(data, generator)
    data[at:at] = generator.randbytes(generator.randint(1, 64))
    return data


DAMAGES: tuple[Damage, ...] = (_bytes, _bit, _number, _number, _cut, _without, _twice, _piece_of_another, _noise)
