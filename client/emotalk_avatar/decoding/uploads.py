"""Uploads into pictures.

Rule that this module guards: **no byte of an upload is decompressed in this process**: a child does, with limits of
memory and time, and hands out pixels. It is started for each upload and decodes nothing else. Every function here
waits for it; on an event loop, call it in a thread. How many run at once is the caller's to bound.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np

from emotalk_avatar import limits
from emotalk_avatar.decoding.structure import is_animated, kind_of
from emotalk_avatar.errors import PictureRefused, PictureTooLarge, UnreadablePicture
from emotalk_avatar.face import Picture
from emotalk_client.errors import MissingExtra, UnwritableFile

logger = logging.getLogger(__name__)

_VIDEOS = ("mp4", "webm")
_PROCESS = Path(__file__).with_name("process.py")
_REFUSALS: dict[str, type[PictureRefused]] = {kind.__name__: kind for kind in (UnreadablePicture, PictureTooLarge)}
_LONGEST_LINE = 4096
"""Bytes of a line of JSON from the child."""
_PIECE = 2**20


def is_clip(data: bytes) -> bool:
    """Return whether ``data`` is a video or has more than one picture; nothing is decompressed for it."""
    kind = kind_of(data)
    return kind is not None and (kind in _VIDEOS or is_animated(data, kind))


def decode(data: bytes) -> Picture:
    """Return the picture in ``data``: JPEG, PNG, WEBP or GIF, of an animation its first frame.

    It is upright as EXIF says, in sRGB, on white where it was transparent, and its longer side is
    :data:`~emotalk_avatar.limits.KEPT_SIDE` at most. Nothing else of the file is kept.

    Raises:
        MissingExtra: Pillow, which decodes it, is not installed.
        UnreadablePicture: it is not such a file, or a damaged one.
        PictureTooLarge: it has more bytes, pixels or a longer side than are taken.
        UnwritableFile: there is no room for it.
    """
    _check_bytes(data, limits.MAX_PICTURE_BYTES, "picture")
    if kind_of(data) in _VIDEOS:
        raise UnreadablePicture("the file is a video; accepted: a picture in JPEG, PNG, WEBP or GIF")
    if kind_of(data) is None:
        raise UnreadablePicture(
            f"the file is not a picture of a known format: it begins with {bytes(data[:8])!r}; accepted: JPEG, PNG, "
            "WEBP or GIF"
        )
    with Clip(data, "picture") as decoded:
        for picture in decoded:
            return picture
    raise UnreadablePicture("the picture has no pixels; accepted: some")


def decode_clip(data: bytes) -> Clip:
    """Return the clip in ``data``: mp4, mov or webm (the extra ``video`` or ``media``), GIF, or animated WEBP.

    Raises:
        MissingExtra: what decodes it is not installed.
        UnreadablePicture: it is not such a file, or a damaged one.
        PictureTooLarge: it has more bytes, pixels, seconds or frames than are taken.
        UnwritableFile: there is no room for it.
    """
    _check_bytes(data, limits.MAX_CLIP_BYTES, "clip")
    kind = kind_of(data)
    if kind not in (*_VIDEOS, "gif", "webp"):
        raise UnreadablePicture(
            f"the file is not a clip of a known format: it begins with {bytes(data[:8])!r}; accepted: mp4, mov, webm, "
            "GIF or animated WEBP"
        )
    if kind in _VIDEOS and importlib.util.find_spec("av") is None:
        raise MissingExtra("videos need PyAV; install `emotalk-triton[video]`")
    return Clip(data, "clip")


def _started(data: bytes, asked: str, errors: BinaryIO) -> subprocess.Popen[bytes]:
    with tempfile.TemporaryFile() as upload:
        upload.write(data)
        upload.seek(0)
        return subprocess.Popen(
            [sys.executable, _PROCESS, asked], stdin=upload, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )


def _check_bytes(data: bytes, most: int, what: str) -> None:
    if len(data) > most:
        raise PictureTooLarge(f"the {what} has {len(data)} bytes; accepted: at most {most // 10**6} MB")
    if not data:
        raise UnreadablePicture(f"the {what} is empty; accepted: a file")


class Clip:
    """The frames of a video or an animation, decoded as they are asked for; used with ``with``, or closed.

    :func:`decode_clip` makes it.
    """

    def __init__(self, data: bytes, asked: Literal["picture", "clip"]) -> None:
        if importlib.util.find_spec("PIL") is None:
            raise MissingExtra("pictures need Pillow; install `emotalk-triton[avatar]`")
        self._asked = asked
        try:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the child
            self._child = _started(data, asked, self._errors)
        except OSError as error:  # no space, or no process
            raise UnwritableFile(f"the {asked} cannot be decoded: {error.strerror or error}") from error
        try:
            fps, width, height = self._facts()
        except BaseException:
            self.close()
            raise
        self.fps = fps
        """Frames per second, evenly; 30 at most, and 0 of a still picture."""
        self.width, self.height = width, height
        """Pixels."""

    def __iter__(self) -> Iterator[Picture]:
        """Yield the frames, once.

        Raises:
            UnreadablePicture, PictureTooLarge: as :func:`decode_clip`, of what comes later in the file.
        """
        try:
            while (mark := self._read(1)) == b"F":
                pixels = np.frombuffer(self._read(self.height * self.width * 3), np.uint8)
                yield Picture(pixels.reshape(self.height, self.width, 3))
            if mark == b"R":
                raise self._refusal()
        finally:
            self.close()

    def close(self) -> None:
        """End the child; does nothing the second time."""
        self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._errors.close()

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _facts(self) -> tuple[float, int, int]:
        """Return the child's frames per second, width and height of all frames."""
        first = self._read(1)
        if first == b"R":
            raise self._refusal()
        said = self._json(bytes(first))
        try:
            fps, width, height = float(said["fps"]), int(said["width"]), int(said["height"])
        except (KeyError, TypeError, ValueError):
            raise self._nonsense() from None
        if not (1 <= width <= limits.KEPT_SIDE and 1 <= height <= limits.KEPT_SIDE):
            raise self._nonsense()
        return fps, width, height

    def _refusal(self) -> PictureRefused:
        """Return what the child refused."""
        said = self._json()
        kind = _REFUSALS.get(str(said.get("error")))
        return self._nonsense() if kind is None else kind(str(said.get("message")))

    def _json(self, beginning: bytes = b"") -> dict[str, Any]:
        line = bytearray(beginning)
        while len(line) < _LONGEST_LINE and not line.endswith(b"\n"):
            line += self._read(1)
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            raise self._nonsense() from None
        if not isinstance(said, dict):
            raise self._nonsense()
        return said

    def _nonsense(self) -> PictureRefused:
        """Return the error of a child that no longer does what it was made for."""
        logger.warning("the process that decodes a %s says what it cannot mean", self._asked)
        return UnreadablePicture(f"the {self._asked} is damaged: what decodes it failed; accepted: a whole one")

    def _read(self, count: int) -> bytearray:
        """Return the next ``count`` bytes of the child's output.

        Raises:
            UnreadablePicture, PictureTooLarge: it ended, or says nothing for too long.
        """
        out = self._child.stdout
        if out is None or out.closed:
            raise UnreadablePicture(f"the {self._asked} was closed; decode it again")
        until = time.monotonic() + limits.DECODING_S
        read = bytearray(count)
        view, done = memoryview(read), 0
        while done < count:
            ready, _, _ = select.select([out], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                self.close()
                raise PictureTooLarge(
                    f"the {self._asked} takes more than {limits.DECODING_S:g} s to decode; accepted: less"
                )
            size = os.readv(out.fileno(), [view[done : done + _PIECE]])
            if not size:
                raise self._ended()
            done += size
        return read

    def _ended(self) -> PictureRefused:
        """Return the reason for which the child ended before its time."""
        status = self._child.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            return PictureTooLarge(f"the {self._asked} takes too long to decode; accepted: one that takes seconds")
        if "MemoryError" in said:
            return PictureTooLarge(f"the {self._asked} takes too much memory to decode; accepted: a smaller one")
        logger.warning("the process that decodes a %s ended with %d: %s", self._asked, status, said[-2000:])
        return UnreadablePicture(f"the {self._asked} is damaged: what decodes it failed; accepted: a whole one")
