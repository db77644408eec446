"""The value that every animation file holds: weights, their moments, and a rate.

Rule that this module guards: **it knows nothing of files.** The formats read and write tracks;
:class:`emotalk_client.faces.animation.Animation` is a track that can save itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.timing import FPS

MAX_FRAMES = 500_000
"""Frames of one file (4.6 hours at 30 fps): more are refused before they fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A face for every frame of a clip."""

    weights: NDArray[np.float32]
    """[F, 52] in EmoTalk order; frame f is the face at ``timecodes[f]``."""
    timecodes: NDArray[np.float64]
    """[F] seconds, ascending. The first may be any moment (a recording's time of day); there may be gaps."""
    fps: float = FPS
    """Frames per second between gaps."""
    names: tuple[str, ...] = BLENDSHAPES
    """Blendshape of each column."""
    rotations: NDArray[np.float32] | None = field(default=None, kw_only=True)
    """[F, 9] radians: yaw, pitch and roll of the head and of each eye (:mod:`emotalk_client.faces.rotations`). None:
    the head is still, for the network says nothing of it."""

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def start_s(self) -> float:
        """Seconds: the moment of the first frame; 0 without frames."""
        return float(self.timecodes[0]) if len(self) else 0.0

    @property
    def seconds(self) -> NDArray[np.float64]:
        """[F] seconds from the first frame."""
        return self.timecodes - self.start_s

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last, gaps included."""
        return (round(float(self.seconds[-1]) * self.fps) + 1) / self.fps if len(self) else 0.0
