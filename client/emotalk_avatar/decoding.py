"""Uploads into pictures.

Rule that this module guards: **no byte of an upload is decoded in this process**: a child does, with limits of memory
and time, and hands out pixels. Every function here waits for it; on an event loop, call it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from emotalk_avatar.face import Picture


def is_clip(data: bytes) -> bool:
    """Return whether ``data`` looks like a video or an animation; its first bytes say so, and nothing is decoded."""
    raise NotImplementedError


def decode(data: bytes) -> Picture:
    """Return the picture in ``data``: JPEG, PNG, WEBP or GIF, of an animation its first frame.

    It is upright as EXIF says, in sRGB, on white where it was transparent, and its longer side is
    :data:`~emotalk_avatar.limits.KEPT_SIDE` at most. Nothing else of the file is kept.

    Raises:
        UnreadablePicture: it is not such a file, or a damaged one.
        PictureTooLarge: it has more bytes, pixels or a longer side than are taken.
    """
    raise NotImplementedError


class Clip:
    """The frames of a video or an animation, decoded as they are asked for; used with ``with``, or closed."""

    def __init__(self, fps: float, width: int, height: int) -> None:
        self.fps = fps
        """Frames per second, evenly; 30 at most."""
        self.width, self.height = width, height
        """Pixels."""

    def __iter__(self) -> Iterator[Picture]:
        """Yield the frames, once.

        Raises:
            UnreadablePicture, PictureTooLarge: as :func:`decode_clip`, of what comes later in the file.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the child; does nothing the second time."""
        raise NotImplementedError

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def decode_clip(data: bytes) -> Clip:
    """Return the clip in ``data``: mp4, mov or webm (the extra ``video`` or ``media``), GIF, or animated WEBP.

    Raises:
        MissingExtra: it is a video, and what decodes it is not installed.
        UnreadablePicture: it is not such a file, or a damaged one.
        PictureTooLarge: it has more bytes, pixels, seconds or frames than are taken.
    """
    raise NotImplementedError
