"""Life for frames that come one by one: of a live session, or of a stream of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emotalk_client.faces.animation import Frame
from emotalk_client.faces.life import Life, LiveLife


class LivingFrames:
    """Frames in, the same with ``life`` in them out, as :meth:`.Animation.lively` gives the whole clip's.

    Frames that were left out count as their predecessor, and one that goes back begins anew.
    """

    def __init__(self, life: Life) -> None:
        self._life = life
        self._live = LiveLife(life)
        self._next = 0
        self._last = np.zeros(52, np.float32)

    def of(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return ``frames``, the next in order, with life in them."""
        return list(frames) if self._life.still else [self._lived(frame) for frame in frames]

    def _lived(self, frame: Frame) -> Frame:
        if frame.index < self._next:
            self._live, self._next = LiveLife(self._life, frame.index), frame.index
        if left_out := frame.index - self._next:
            self._live.push(np.repeat(self._last[None], left_out, axis=0))
        self._next, self._last = frame.index + 1, frame.weights
        lived = self._live.push(frame.weights[None])
        return replace(frame, weights=lived.weights[0], rotations=lived.rotations[0])
