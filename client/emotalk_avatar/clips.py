"""A clip becomes an avatar: every frame is fitted once, and speech is drawn over the moving frames.

Of a package of kind ``video``: ``avatar.glb`` is fitted to the first frame, ``source.mp4`` shows the frames
(:meth:`FittedClip.frame` of the clip's), and ``fit.f16`` tells how the others differ from the first, as little-endian
float16 [frames, V, 4]: by how many metres each of the file's vertices (in the order of its primitives) lies farther
right and higher, and by how much of the photograph its texture's place lies farther right and lower. To draw frame i,
add the first two to the resting points (weights move them as ever), the last two to the places, and use frame i as the
photograph. Frames are walked to and fro (:mod:`emotalk_avatar.walking`), so that there is no jump.

People in a clip should be silent: where a mouth is open it is closed, as in a photograph, with what is seen of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import Fitted, fit, layers_of
from emotalk_avatar.fitting.base import base
from emotalk_avatar.fitting.framing import Frame
from emotalk_avatar.fitting.surface import laid
from emotalk_avatar.walking import walked

KERNEL = np.array([-3.0, 12.0, 17.0, 12.0, -3.0]) / 35
"""Savitzky and Golay's, of five frames and a parabola (Analytical Chemistry 36(8), 1964, table I)."""


@dataclass(frozen=True, slots=True)
class FittedClip:
    """A head that looks like a clip."""

    first: Fitted
    """That of the first frame."""
    fps: float
    differences: NDArray[np.float16]
    """[frames, V, 4], as the package stores them."""

    @property
    def frame(self) -> Frame:
        """The part of each frame that is shown."""
        return self.first.frame

    def glb(self) -> bytes:
        """Return ``avatar.glb``."""
        return self.first.glb()

    def packed(self) -> bytes:
        """Return ``fit.f16``."""
        return self.differences.astype("<f2").tobytes()


def smoothed(faces: Sequence[Face]) -> list[Face]:
    """Return ``faces`` with calmer landmarks; before the first and after the last comes what :func:`walked` shows."""
    count, reach = len(faces), len(KERNEL) // 2
    landmarks = np.stack([face.landmarks for face in faces])
    order = [[walked(abs(number + step), count) for step in range(-reach, reach + 1)] for number in range(count)]
    calm = np.einsum("k,fk...->f...", KERNEL.astype(np.float32), landmarks[np.array(order)])
    return [dataclasses.replace(face, landmarks=points) for face, points in zip(faces, calm, strict=True)]


def fit_clip(
    first: Picture, faces: Sequence[Face], fps: float, frame: Frame | None = None, *, glasses: bool = False
) -> FittedClip:
    """Fit the head to a clip.

    Args:
        first: its first frame.
        faces: of all frames, as :func:`emotalk_avatar.detection.follow_face` gives them; smoothed here.
        fps: frames a second.
        frame: the part of all frames that is shown; None: that around the first face.
        glasses: as :func:`emotalk_avatar.fitting.fit` has it.
    """
    head, calm = base(), smoothed(faces)
    fitted = fit(first, calm[0], frame, glasses=glasses)
    whole = fitted.picture
    scale = fitted.surface.pose.scale
    rest = np.concatenate([layer.points[:, :2] for layer in fitted.layers])
    places = np.concatenate([layer.places for layer in fitted.layers])
    differences = np.zeros((len(calm), len(rest), 4), np.float16)
    for number, one in enumerate(calm[1:], 1):
        face = fitted.frame.face(one)
        now, seen = layers_of(head, whole, face, laid(head, face), fitted.layers)
        differences[number, :, :2] = (now - rest) / scale * [1, -1]
        differences[number, :, 2:] = seen - places
    return FittedClip(fitted, fps, differences)
