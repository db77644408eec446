"""Messages between a program and the process that draws for it: one letter, a length (uint32, little-endian), bytes."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT

HEAD = struct.Struct("<cI")
ORDER, GLB, CLIP, FIT, FRAMES, KEYFRAME, END = b"O", b"G", b"C", b"T", b"F", b"K", b"E"
"""To the process: what is wanted (:class:`Order`), the avatar's glTF, its clip and the fit of that, rows of frames,
wish for a keyframe, no more."""
READY, PICTURE, PROGRESS, DONE, ERROR = b"R", b"P", b"N", b"D", b"X"
"""From it: it can draw (width and height), an encoded picture, pictures written so far, all is written, what failed."""
ROW = 2 + BLENDSHAPE_COUNT + 3
"""Numbers of a frame: its index, its number in the whole show, the weights, and yaw, pitch and roll of the head."""
KEY, IDLE = 1, 2
"""Flags of a picture: it can be decoded by itself; nothing is being said."""
CHUNK = struct.Struct("<BQ")
"""Before the bytes of an encoded picture: flags, and microseconds at which it is shown."""
Coding: TypeAlias = Literal["vp9", "mjpeg"]
CODINGS: tuple[Coding, ...] = ("vp9", "mjpeg")


@dataclass(frozen=True, slots=True)
class Order:
    """A video that is wanted."""

    avatar: bool = False
    """True: an avatar's glTF follows; else the bundled head is drawn."""
    clip_fps: float = 0.0
    """Frames a second of its clip, which follows, and the fit; 0: it has none."""
    size: tuple[int, int] | None = None
    """Width and height; None: the avatar's own, or the default."""
    background: tuple[int, int, int] | None = None
    """RGB, behind a head."""
    mark: bool = False
    """Write on the pictures that they are synthetic."""
    fps: float = 30.0
    coding: Coding | None = None
    """Of pictures that are sent one by one; None: a file is written."""
    suffix: str = ".mp4"
    """Of that file."""
    out: str = ""
    """Its path."""
    sound: str = ""
    """Path of its sound; empty: it has none."""

    def packed(self) -> bytes:
        """Return it as the payload of a message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpacked(cls, content: bytes) -> Order:
        """Return what :meth:`packed` gave."""
        given: dict[str, Any] = json.loads(content)
        for name in ("size", "background"):
            if given[name] is not None:
                given[name] = tuple(given[name])
        return cls(**given)


def message(kind: bytes, payload: bytes = b"") -> bytes:
    """Return a message's bytes."""
    return HEAD.pack(kind, len(payload)) + payload


def read(file: BinaryIO) -> tuple[bytes, bytes] | None:
    """Return kind and payload of the next message; None where whoever sends has gone."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, size = HEAD.unpack(head)
    payload = file.read(size)
    return None if len(payload) < size else (kind, payload)


def rows(first: int, weights: NDArray[np.float32], head: NDArray[np.float32], before: int = 0) -> bytes:
    """Return frames from ``first`` on, ``weights`` [F, 52] and ``head`` [F, 3], as the payload of :data:`FRAMES`.

    ``before``: frames of the show that came before frame 0.
    """
    table = np.empty((len(weights), ROW), np.float32)
    table[:, 0] = np.arange(first, first + len(weights))
    table[:, 1] = table[:, 0] + before
    table[:, 2:-3], table[:, -3:] = weights, head
    return table.tobytes()


def from_rows(
    payload: bytes,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return indices [F], numbers in the show [F], weights [F, 52] and head [F, 3]."""
    table = np.frombuffer(payload, np.float32).reshape(-1, ROW)
    return table[:, 0], table[:, 1], table[:, 2:-3], table[:, -3:]
