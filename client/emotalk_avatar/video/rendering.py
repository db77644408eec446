"""Faces over time and their sound into a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.living import Shown
from emotalk_avatar.video.marking import Mark
from emotalk_avatar.video.sounding import PIECE, Cut, in_one_shape
from emotalk_avatar.video.writing import Movie
from emotalk_client.audio.files import opened
from emotalk_client.audio.notices import Notices


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a face, read while it is written."""

    pieces: Iterator[NDArray[np.float32]]
    """[n, channels], or [n]."""
    rate: int
    """Hertz."""
    channels: int
    """1 or 2 of the video; sound with another number is mixed."""


def write(
    faces: Shown,
    sound: Sound | None,
    drawing: Drawing,
    path: Path,
    *,
    fps: float,
    mark: bool = False,
    suffix: str | None = None,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``faces``, drawn, at ``fps`` pictures a second, with ``sound`` from the first on, into ``path``.

    Args:
        mark: draw the words that say that it is synthetic.
        suffix, threads: as :class:`~emotalk_avatar.video.writing.Movie` takes them.
        progress: called with the pictures that are done, and how many there will be.

    Raises:
        UnwritableVideo: the file cannot be written.
    """
    channels = 0 if sound is None else sound.channels
    words = Mark(drawing.size) if mark else None
    with Movie(path, drawing.size, fps, channels, suffix=suffix, threads=threads) as movie:
        heard = None if sound is None else Cut(in_one_shape(sound.pieces, sound.rate, channels), channels)
        for index, (weights, head) in enumerate(zip(faces.weights, faces.head, strict=True)):
            pixels = drawing.draw(weights, head, index / fps)
            if words is not None:
                words.put(pixels)
            movie.picture(pixels)
            if heard is not None:
                movie.sound(heard.until((index + 1) / fps))
            if progress is not None:
                progress(index + 1, len(faces.weights))
        if heard is not None:
            movie.sound(heard.until(None))


@contextmanager
def opened_sound(source: str | os.PathLike[str] | BinaryIO | None) -> Iterator[Sound | None]:
    """Yield the sound of ``source``, of any kind that the client reads; None: there is none.

    Raises:
        AudioError: it is not sound; also while it is read.
    """
    if source is None:
        yield None
        return
    with opened(source, Notices()) as file:
        pieces = file.pieces(PIECE)
        first = next(pieces, np.zeros((0, 1), np.float32))
        yield Sound(chain([first], pieces), file.samplerate, 2 if first.shape[1] == 2 else 1)
