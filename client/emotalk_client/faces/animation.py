"""Faces over time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import InvalidRate
from emotalk_client.faces.formats import format_of
from emotalk_client.faces.head.own import OwnHead
from emotalk_client.faces.life import Life
from emotalk_client.faces.resampling import check_rate, is_even, on_grid, resampled, turned_at
from emotalk_client.faces.track import Track
from emotalk_client.faces.vocabularies import Vocabulary
from emotalk_contract.arkit import INDEX
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
    audio: bytes | None = None
    """The sound of its time, from its own moment to the next frame's: PCM16, little-endian, one channel, at the rate of
    what was pushed. Of a live session that was asked for it; else None."""
    rotations: NDArray[np.float32] | None = None
    """[9] radians, as :attr:`Animation.rotations` has them; None: the head is still."""


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
        return self._at_rate(weights, self.fps)

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
        return self._at_rate(resampled(even.weights, self.fps, fps), fps)

    def _at_rate(self, weights: NDArray[np.float32], fps: float) -> Animation:
        """The clip with ``weights`` [N, 52] every ``1 / fps`` seconds instead of its own."""
        seconds = np.arange(len(weights)) / fps
        turned = None if self.rotations is None else turned_at(self.rotations, self.seconds, seconds)
        return replace(self, weights=weights, timecodes=self.start_s + seconds, fps=fps, rotations=turned)

    def lively(self, life: Life) -> Animation:
        """The same clip with ``life`` in it: nods, gaze, idle (:mod:`emotalk_client.faces.life`).

        Frames are counted from 0 seconds, so that blocks of a clip at their own times live as the clip does once they
        are put together; a block by itself begins in silence.

        Raises:
            InvalidRate: it has another rate than the network's 30 frames a second, or gaps; rates come after life.
        """
        if life.still:
            return self
        if self.fps != FPS or not is_even(self.seconds, self.fps):
            raise InvalidRate(
                f"the clip has {self.fps:g} fps, or gaps; accepted: {FPS} fps, and other rates after life"
            )
        lived = life.of(self.weights, max(0, round(self.start_s * FPS)))
        return replace(self, weights=lived.weights, rotations=lived.rotations)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | None = None,
        head: OwnHead | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """Write a file in the format that its suffix says, at ``fps`` frames a second (default: as they are).

        ``head`` is whom a ``.glb`` shows instead of the packaged head; ``vocabulary`` is what a ``.csv`` calls its
        columns instead of ARKit's blendshapes.

        ``.npy``, ``.csv`` (Live Link Face), ``.json`` (Audio2Face), ``.jsonl``, ``.glb`` (glTF: a head and its
        animation), ``.usd``, ``.usda``, ``.usdc`` (the same; needs `emotalk-triton[formats]`).

        Raises:
            UnknownFormat: the suffix is not one of these.
            InvalidRate: ``fps`` is not in 1..240.
            UnwritableFile: there is no such folder, no permission or no space.
            InvalidOption: the format has no head, or no names, of its own.
            MissingExtra: the format needs a library that is not installed.
        """
        animation = self if fps is None else self.resampled(fps)
        format_of(Path(path)).write(animation, Path(path), head=head, vocabulary=vocabulary)

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
        return cls(track.weights, track.timecodes, track.fps, track.names, rotations=track.rotations)
