"""The teeth's texture: two rows of teeth along their arch, the upper row in the upper half.

Widths are those of an adult's crowns (S. J. Nelson, Wheeler's Dental Anatomy, table 1-1), millimetres along the arch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.fitting.plane import Points, smoothstep

SIZE = (512, 128)
"""Width and height, pixels."""
ARCH_MM = 100.0
"""Of the arch that the texture's width shows."""
ROW_SHARE = 0.48
"""Of the height that a row takes; what is left keeps the rows apart."""
UPPER_MM, LOWER_MM = (8.5, 6.5, 7.5, 7.0, 7.0, 10.0), (5.3, 5.9, 6.8, 7.0, 7.0, 10.0)
"""Widths from the middle of a row to its end."""
ARCH_RADIUS_M, ARCH_MIDDLE_M = 0.036, 0.040
"""Of the head's arch, and how far before the head's middle its own lies."""


def texture() -> NDArray[np.uint8]:
    """RGB [128, 512, 3]: white teeth, dark between them, a little darker at the biting edges."""
    width, height = SIZE
    light = np.ones((height, width))
    column = np.arange(width)
    half = height // 2
    for upper, widths in ((True, UPPER_MM), (False, LOWER_MM)):
        row = slice(0, half) if upper else slice(half, height)
        to_edge = np.linspace(0, 1, half) if upper else np.linspace(1, 0, half)
        biting = smoothstep(to_edge, 0.55, 1.0)[:, None]
        for edge in np.concatenate([[0.0], np.cumsum(widths)]):
            for side in (1, -1):
                distance = np.abs(column - width * (0.5 + side * edge / ARCH_MM))
                # Crowns part towards their biting edges.
                gap = np.exp(-((distance / (1.1 + 2.2 * biting**3)) ** 2))
                light[row] *= 1 - (0.20 + 0.35 * biting**2) * gap - 0.10 * np.exp(-((distance / 6) ** 2))
        light[row] *= 1 - 0.12 * smoothstep(to_edge, 0.8, 1.0)[:, None]
    return np.repeat((255 * np.clip(light, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def places(points: NDArray[np.float64], upper: NDArray[np.bool_]) -> Points:
    """[V, 2] in the texture, of teeth at ``points`` [V, 3] (the head's metres, y down); ``upper`` [V]: of that row."""
    along = np.arctan2(points[:, 0], -points[:, 2] - ARCH_MIDDLE_M) * ARCH_RADIUS_M * 1000
    share = np.zeros(len(points))
    for row in (upper, ~upper):
        low, high = points[row, 1].min(), points[row, 1].max()
        share[row] = (points[row, 1] - low) / (high - low)
    return np.stack([0.5 + along / ARCH_MM, ROW_SHARE * share + np.where(upper, 0.0, 1 - ROW_SHARE)], axis=1)
