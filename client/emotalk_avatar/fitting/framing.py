"""The part of a picture that an avatar shows: head and shoulders, no larger than is worth drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478

AROUND = 3.4
"""In heights of the face: the most that is shown along each side."""
ABOVE = 0.47
"""Share of that which lies above the face's middle."""
SIDE = 1024
"""Pixels of the longer side at the most."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A part of a picture."""

    crop: tuple[int, int, int, int]
    """Left, top, width and height, pixels of the picture."""
    size: tuple[int, int]
    """Width and height of what is made of it: even, as videos want it."""

    @classmethod
    def of(cls, picture: Picture, face: Face) -> Frame:
        """Return the part that an avatar of ``face`` shows."""
        top, chin = face.landmarks[[mesh478.FOREHEAD, mesh478.CHIN], :2].astype(np.float64)
        most = AROUND * float(np.linalg.norm(chin - top))
        middle = face.landmarks[: mesh478.MESH, :2].mean(axis=0)
        left, width = _span(float(middle[0]), 0.5, most, picture.width)
        upper, height = _span(float(middle[1]), ABOVE, most, picture.height)
        share = min(1.0, SIDE / max(width, height))
        size = (max(2, 2 * round(width * share / 2)), max(2, 2 * round(height * share / 2)))
        return cls((left, upper, width, height), size)

    def picture(self, picture: Picture) -> Picture:
        """Return that part."""
        left, top, width, height = self.crop
        part = picture.pixels[top : top + height, left : left + width]
        if (width, height) == self.size:
            return Picture(np.ascontiguousarray(part))
        from PIL import Image  # of an extra

        return Picture(np.asarray(Image.fromarray(part).resize(self.size, Image.Resampling.LANCZOS)))

    def face(self, face: Face) -> Face:
        """Return ``face`` in pixels of that part."""
        scale = np.array(self.size) / self.crop[2:]
        corner = np.array(self.crop[:2])
        landmarks = face.landmarks.astype(np.float64)
        landmarks[:, :2] = (landmarks[:, :2] - corner) * scale
        landmarks[:, 2] *= scale.mean()
        box = (np.array(face.box).reshape(2, 2) - corner) * scale
        left, top, right, bottom = box.ravel().tolist()
        return Face(landmarks.astype(np.float32), face.weights, face.presence, (left, top, right, bottom))


def _span(middle: float, before: float, most: float, whole: int) -> tuple[int, int]:
    """Start and length, pixels: at most ``most`` around ``middle`` of a side of ``whole`` pixels, within it, even."""
    length = max(2, min(whole, round(most)) & ~1)
    start = min(max(0, round(middle - before * length)), whole - length)
    return start, length
