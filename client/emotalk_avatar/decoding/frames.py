"""The frames and the refusals of the process that decodes, as its parts hand them on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from emotalk_avatar import limits

T = TypeVar("T")

_ROUNDING_S = 0.05
"""Seconds that a clip may be longer."""


class Refusal(Exception):
    """An upload that is not taken.

    Args:
        error: the name of its class in :mod:`emotalk_avatar.errors`.
        message: in words.
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


def unreadable(message: str) -> Refusal:
    """Return the refusal of what is damaged, or not of a known format."""
    return Refusal("UnreadablePicture", message)


def too_large(message: str) -> Refusal:
    """Return the refusal of what has more of something than is taken."""
    return Refusal("PictureTooLarge", message)


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """The pixels of a frame, and what is the same for all of a clip."""

    rgb: bytes
    """[height, width, 3]."""
    width: int
    height: int
    fps: float
    """Of a still picture, 0."""


def rate_of(fps: float) -> float:
    """Return the frames per second that are handed out of a clip that has ``fps``."""
    if not math.isfinite(fps) or fps <= 0:
        return limits.MAX_CLIP_FPS
    return min(max(fps, limits.MIN_CLIP_FPS), limits.MAX_CLIP_FPS)


def evenly(frames: Iterable[tuple[float, T]], fps: float) -> Iterator[T]:
    """Yield the frame that stands in the middle of each ``1 / fps`` seconds.

    Args:
        frames: the second at which each ends, and the frame; the first stands from 0 on.

    Raises:
        Refusal: they last longer than is taken, or are more.
    """
    given = 0
    for number, (end_s, frame) in enumerate(frames):
        check_length(end_s)
        if number >= limits.MAX_CLIP_DECODED:
            raise too_large(
                f"the clip has more than {limits.MAX_CLIP_DECODED} frames in {end_s:.3g} s; accepted: at most so many"
            )
        while (given + 0.5) / fps < end_s:
            if given >= limits.MAX_CLIP_FRAMES:
                raise too_large(
                    f"the clip has more than {limits.MAX_CLIP_FRAMES} frames at {fps:.3g} a second; accepted: at most "
                    "so many"
                )
            yield frame
            given += 1


def check_length(seconds: float) -> None:
    """Raise :class:`Refusal` where a clip of ``seconds`` is longer than is taken."""
    if not seconds <= limits.MAX_CLIP_S + _ROUNDING_S:  # NaN is not
        raise too_large(f"the clip lasts {seconds:.3g} s or more; accepted: at most {limits.MAX_CLIP_S:g} s")


def check_size(width: int, height: int) -> None:
    """Raise :class:`Refusal` where a clip's frames are larger than is taken."""
    if width < 1 or height < 1:
        raise unreadable(f"the clip's frames are {width} by {height} pixels; accepted: a picture")
    if max(width, height) > limits.MAX_CLIP_SIDE or width * height > limits.MAX_CLIP_PIXELS:
        raise too_large(
            f"the clip's frames are {width} by {height} pixels; accepted: at most 1920 by 1080, either way round"
        )
