"""The messages of the lip-sync server's WebSocket, as bytes. Pure, no I/O.

There are two dialects of a request. This is the one that the servers themselves parse: lengths are uint32, and the
length of sound follows the frame, though it may be 0. The other (a uint8 for the name's length, and no sound) is in
that project's README and in its proxy's page only, and no server of it reads it. Integers are little-endian.

::

    request  u32 n   n bytes of name (UTF-8)   u32 frame   u32 m   m bytes of sound
    picture  u8 1    u32 frame   u32 ms   u32 n   n bytes of JPEG   u32 16   4 float32: left, top, right, bottom
    error    u8 0    u32 0       u32 ms   u32 n   n bytes of text (UTF-8)
    frame    u8 2    u32 frame   u8 n     n bytes of the video's type   u32 m   m bytes of JPEG
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import InvalidMessage

SHORTEST = 12
"""Bytes of a request: three lengths."""
MOST_NAME_BYTES = 1024
ERROR, PICTURE, FRAME = 0, 1, 2
_U32 = struct.Struct("<I")
MOST_U32 = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Request:
    """A picture that is asked for."""

    name: str
    """Of the avatar."""
    frame_id: int
    sound: bytes
    """Speech that the mouth is to say; empty: the avatar's own sound."""


def parsed(message: bytes) -> Request:
    """Return the request in ``message``.

    Raises:
        InvalidMessage: it is too short, its lengths are not those of its bytes, or its name is not text.
    """
    if len(message) < SHORTEST:
        raise InvalidMessage(f"the message has {len(message)} bytes; accepted: at least {SHORTEST}")
    name, at = _counted(message, 0, "the name", trailing=2 * _U32.size)
    if len(name) > MOST_NAME_BYTES:
        raise InvalidMessage(f"the name has {len(name)} bytes; accepted: at most {MOST_NAME_BYTES}")
    (frame_id,) = _U32.unpack_from(message, at)
    sound, at = _counted(message, at + _U32.size, "the sound")
    if at != len(message):
        raise InvalidMessage(f"{len(message) - at} bytes follow the sound; accepted: none")
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"the name is {quoted(name[:40])}; accepted: UTF-8") from error
    return Request(text, frame_id, sound)


def picture(frame_id: int, ms: float, jpeg: bytes, bounds: Sequence[float]) -> bytes:
    """Return the answer with a picture."""
    corners = struct.pack("<4f", *bounds)
    head = struct.pack("<BIII", PICTURE, frame_id, _whole(ms), len(jpeg))
    return head + jpeg + _U32.pack(len(corners)) + corners


def error(ms: float, text: str) -> bytes:
    """Return the answer that says what went wrong."""
    said = text.encode()
    return struct.pack("<BIII", ERROR, 0, _whole(ms), len(said)) + said


def frame(frame_id: int, kind: str, jpeg: bytes) -> bytes:
    """Return the answer with a frame of the avatar itself."""
    name = kind.encode()
    return struct.pack("<BIB", FRAME, frame_id, len(name)) + name + _U32.pack(len(jpeg)) + jpeg


def _counted(message: bytes, at: int, what: str, trailing: int = 0) -> tuple[bytes, int]:
    """Return the bytes behind the length at ``at``, and where they end; ``trailing`` bytes must follow."""
    (count,) = _U32.unpack_from(message, at)
    begin = at + _U32.size
    left = len(message) - begin - trailing
    if count > left:
        raise InvalidMessage(f"{what} is said to have {count} bytes, of {max(0, left)} that are there")
    return message[begin : begin + count], begin + count


def _whole(ms: float) -> int:
    return min(MOST_U32, max(0, round(ms)))
