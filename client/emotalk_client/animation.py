"""Faces over time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_ensemble.arkit import BLENDSHAPES, INDEX
from emotalk_ensemble.timing import FPS


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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file in the format that its suffix says: .npy, .csv (Live Link Face), .json (Audio2Face), .jsonl.

        Raises:
            UnknownFormat: the suffix is none of these.
            UnwritableFile: there is no such folder, no permission or no space.
        """
        from emotalk_client.formats import format_of

        format_of(Path(path)).write(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Animation:
        """Read what :meth:`save` wrote.

        Raises:
            UnknownFormat: the suffix is none of ours.
            UnreadableAnimation: the file is not what its suffix says.
        """
        from emotalk_client.formats import format_of

        return format_of(Path(path)).read(Path(path))
