"""One request for a face, whatever the protocol that it came by, and the face itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.animation import Animation
from emotalk_client.settings import AnimateOptions
from emotalk_client.windows.detected import Emotions
from emotalk_contract.timing import FPS


@dataclass(frozen=True, slots=True)
class FaceRequest:
    """One request for a face: every door parses its own protocol into it, and hands out the :class:`Face`."""

    route: str
    """The door's name for it, for the metrics."""
    sound: BinaryIO
    """Audio of any kind that the client reads; seekable."""
    options: AnimateOptions = field(default_factory=AnimateOptions)
    fps: int | None = FPS
    """Whole frames per second; None: what the server holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """Consecutive frames of one face."""

    start: int
    """Absolute frame of the first row, counted from the beginning of the sound at ``fps``."""
    weights: NDArray[np.float32]
    """[F, 52] in EmoTalk order."""
    fps: int = FPS
    emotions: Emotions | None = None
    """The emotion that was heard in the sound so far: of the last block, the whole clip's. None: the served model
    detects none."""

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def timecodes(self) -> NDArray[np.float64]:
        """[F] seconds: ``timecodes[f] = (start + f) / fps``."""
        return np.arange(self.start, self.start + len(self)) / self.fps

    @property
    def animation(self) -> Animation:
        """The same for whoever writes files."""
        return Animation(self.weights, self.timecodes, self.fps)
