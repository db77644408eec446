"""Faces over time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.timing import FPS


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One face."""

    index: int
    """Absolute frame."""
    timecode: float
    """Seconds: index / 30."""
    weights: NDArray[np.float32]
    """[52] in EmoTalk order."""


@dataclass(frozen=True, slots=True, eq=False)
class Animation:
    """A face for every frame of a clip."""

    weights: NDArray[np.float32]
    """[F, 52] in EmoTalk order; frame f is the face at ``timecodes[f]``."""
    timecodes: NDArray[np.float64]
    """[F] seconds."""
    fps: float = FPS
    names: tuple[str, ...] = BLENDSHAPES
    """Blendshape of each column."""

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def duration_s(self) -> float:
        """Seconds, the last frame's own included."""
        return len(self) / self.fps

    def channel(self, name: str) -> NDArray[np.float32]:
        """Weights [F] of the blendshape ``name``; KeyError if it is none of the 52."""
        return self.weights[:, INDEX[name]]

    def resampled(self, fps: float) -> Animation:
        """The same clip at ``fps`` frames a second (1 to 240); the first frame stays where it is.

        See :mod:`emotalk_client.faces.resampling` for what lies between frames.

        Raises:
            InvalidRate: ``fps`` is no such number.
        """
        from emotalk_client.faces.resampling import check_rate, resampled

        fps = check_rate(fps)
        if fps == self.fps:
            return self
        weights = resampled(self.weights, self.fps, fps)
        first = self.timecodes[:1] if len(self) else np.zeros(1)
        return Animation(weights, first + np.arange(len(weights)) / fps, fps, self.names)

    def save(self, path: str | os.PathLike[str], *, fps: float | None = None) -> None:
        """Write a file in the format that its suffix says, at ``fps`` frames a second (default: as they are).

        ``.npy``, ``.csv`` (Live Link Face), ``.json`` (Audio2Face), ``.jsonl``, ``.glb`` (glTF: a head and its
        animation), ``.usd``, ``.usda``, ``.usdc`` (the same; needs `emotalk-triton[formats]`).

        Raises:
            UnknownFormat: the suffix is none of these.
            InvalidRate: ``fps`` is not in 1..240.
            UnwritableFile: there is no such folder, no permission or no space.
            MissingExtra: the format needs a library that is not installed.
        """
        from emotalk_client.faces.formats import format_of

        animation = self if fps is None else self.resampled(fps)
        format_of(Path(path)).write(animation, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, fps: float | None = None) -> Animation:
        """Read what :meth:`save` wrote.

        ``fps`` is the rate of a file that does not say its own: ``.npy``, and ``.csv`` shorter than a second
        (default: 30).

        Raises:
            UnknownFormat: the suffix is none of ours.
            InvalidRate: ``fps`` is not in 1..240.
            UnreadableAnimation: the file is not what its suffix says.
            MissingExtra: the format needs a library that is not installed.
        """
        from emotalk_client.faces.formats import format_of
        from emotalk_client.faces.resampling import check_rate

        return format_of(Path(path)).read(Path(path), None if fps is None else check_rate(fps))
