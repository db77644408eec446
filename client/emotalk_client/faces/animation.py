"""Faces over time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats import format_of
from emotalk_client.faces.resampling import check_rate, on_grid, resampled
from emotalk_client.faces.track import Track
from emotalk_contract.arkit import INDEX


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One face."""

    index: int
    """Absolute frame."""
    timecode: float
    """Seconds: index / 30."""
    weights: NDArray[np.float32]
    """[52] in EmoTalk order."""
    audio: bytes | None = None
    """The sound of its time, from its own moment to the next frame's: PCM16, little-endian, one channel, at the rate of
    what was pushed. Of a live session that was asked for it; else None."""


@dataclass(frozen=True, slots=True, eq=False)
class Animation(Track):
    """A face for every frame of a clip, and the files that hold it."""

    emotions: Mapping[str, float] | None = None
    """The emotion that the network heard in the speech: a probability for each by name, sum 1. None: the served model
    detects none, or a file was read, for no format keeps it."""

    def channel(self, name: str) -> NDArray[np.float32]:
        """Weights [F] of the blendshape ``name``; KeyError if it is not one of the 52."""
        return self.weights[:, INDEX[name]]

    def even(self) -> Animation:
        """The same clip with a frame every ``1 / fps`` seconds from its first one; itself if it has no gaps.

        A gap is filled along the same curves that lie between frames at other rates.

        Raises:
            InvalidRate: the gaps are so long that it would have more than 500 000 frames.
        """
        weights = on_grid(self)
        if weights is self.weights:
            return self
        return Animation(
            weights, self.start_s + np.arange(len(weights)) / self.fps, self.fps, self.names, self.emotions
        )

    def resampled(self, fps: float) -> Animation:
        """The same clip at ``fps`` frames a second (1 to 240), without gaps; the first frame stays where it is.

        See :mod:`emotalk_client.faces.resampling` for what lies between frames.

        Raises:
            InvalidRate: ``fps`` is not such a number.
        """
        fps = check_rate(fps)
        even = self.even()
        if fps == self.fps:
            return even
        weights = resampled(even.weights, self.fps, fps)
        return Animation(weights, self.start_s + np.arange(len(weights)) / fps, fps, self.names, self.emotions)

    def save(self, path: str | os.PathLike[str], *, fps: float | None = None) -> None:
        """Write a file in the format that its suffix says, at ``fps`` frames a second (default: as they are).

        ``.npy``, ``.csv`` (Live Link Face), ``.json`` (Audio2Face), ``.jsonl``, ``.glb`` (glTF: a head and its
        animation), ``.usd``, ``.usda``, ``.usdc`` (the same; needs `emotalk-triton[formats]`).

        Raises:
            UnknownFormat: the suffix is not one of these.
            InvalidRate: ``fps`` is not in 1..240.
            UnwritableFile: there is no such folder, no permission or no space.
            MissingExtra: the format needs a library that is not installed.
        """
        animation = self if fps is None else self.resampled(fps)
        format_of(Path(path)).write(animation, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, fps: float | None = None) -> Animation:
        """Read what :meth:`save` wrote, and what other programs write in these formats.

        ``fps`` is the rate of a file that does not say its own: ``.npy``, a ``.json`` without ``exportFps``, a foreign
        ``.csv`` of less than a second, and files of a single frame (default: 30).

        Raises:
            UnknownFormat: the suffix is not one of ours.
            InvalidRate: ``fps`` is not in 1..240.
            UnreadableAnimation: the file is not what its suffix says.
            MissingExtra: the format needs a library that is not installed.
        """
        track = format_of(Path(path)).read(Path(path), None if fps is None else check_rate(fps))
        return cls(track.weights, track.timecodes, track.fps, track.names)
