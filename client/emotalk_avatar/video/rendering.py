"""A face over time and its sound into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.living import shown
from emotalk_avatar.video.marking import Mark
from emotalk_avatar.video.sounding import Cut, in_one_shape
from emotalk_avatar.video.writing import Movie
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.life import SMALL, Life


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a face, read while it is written."""

    pieces: Iterator[NDArray[np.float32]]
    """[n, channels], or [n]."""
    rate: int
    """Hertz."""
    channels: int
    """1 or 2 of the video; sound with another number is mixed."""


def render(
    face: Animation,
    sound: Sound | None,
    drawing: Drawing,
    path: Path,
    *,
    fps: float,
    life: Life = SMALL,
    mark: bool = False,
    suffix: str | None = None,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``face``, drawn at ``fps`` pictures a second, with ``sound`` from its first frame on, into ``path``.

    Args:
        life: that the face has beside its speech.
        mark: draw the words that say that it is synthetic.
        suffix, threads: as :class:`~emotalk_avatar.video.writing.Movie` takes them.
        progress: called with the pictures that are done, and how many there will be.

    Raises:
        UnwritableVideo: the file cannot be written.
        InvalidRate: ``fps`` is out of range.
    """
    faces = shown(face, fps, life)
    channels = 0 if sound is None else sound.channels
    words = Mark(drawing.size) if mark else None
    with Movie(path, drawing.size, fps, channels, suffix=suffix, threads=threads) as movie:
        heard = None if sound is None else Cut(in_one_shape(sound.pieces, sound.rate, channels), channels)
        for index, (weights, head) in enumerate(zip(faces.weights, faces.head, strict=True)):
            pixels = drawing.draw(weights, head)
            if words is not None:
                words.put(pixels)
            movie.picture(pixels)
            if heard is not None:
                movie.sound(heard.until((index + 1) / fps))
            if progress is not None:
                progress(index + 1, len(faces.weights))
        if heard is not None:
            movie.sound(heard.until(None))
