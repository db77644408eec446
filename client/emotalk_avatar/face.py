"""A picture and the face in it, as the parts of this package hand them on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANDMARKS = 478
"""Of a face: MediaPipe's Face Mesh V2, with irises."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, upright."""

    pixels: NDArray[np.uint8]
    """RGB [height, width, 3], sRGB."""

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture. The picture's right is the person's left."""

    landmarks: NDArray[np.float32]
    """[478, 3]: pixels of the picture, x to the right and y down, z in the same scale, smaller nearer the camera."""
    weights: NDArray[np.float32]
    """[52]: the expression that the blendshape network sees, 0..1, in ARKit's order."""
    presence: float
    """0..1: how sure the landmark network is that it looks at a face."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels, as the detector gives it."""
