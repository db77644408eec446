"""A photograph with its open mouth filled by the lips' own colours, for lips that close where teeth were seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.plane import blurred, inside_by, nearest_on, sampled, smoothstep

MARGIN = 0.022
"""Of the eyes' distance: lips this near to the gap count as gap, for teeth and shadow shine through there."""
SMOOTH = 0.008
"""Of the eyes' distance: blur of what is filled in."""


def filled(picture: Picture, face: Face, eyes: float) -> Picture:
    """Return ``picture`` with the gap between the lips painted over; ``eyes``: the eyes' distance, pixels."""
    gap = face.landmarks[list(mesh478.INNER_LIPS), :2].astype(np.float64)
    margin = MARGIN * eyes
    low = np.maximum(np.floor(gap.min(axis=0) - 3 * margin), 0).astype(int)
    high = np.minimum(np.ceil(gap.max(axis=0) + 3 * margin), [picture.width, picture.height]).astype(int)
    x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = inside_by(places, gap)
    border = nearest_on(places, gap)
    out = border - gap.mean(axis=0)
    # Straight up or down from the gap's border, and aside only at the corners.
    out[:, 0] *= 0.25
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    source = np.where((inside > -margin)[:, None], border + margin * out, places)
    shape = (*x.shape, 3)
    painted = sampled(picture.pixels, source).reshape(shape)
    soft = painted
    for axis in (0, 1):
        soft = blurred(soft, max(0.6, SMOOTH * eyes), axis)
    share = smoothstep(inside, -1.2 * margin, -0.6 * margin).reshape(*x.shape, 1)
    pixels = picture.pixels.copy()
    part = pixels[low[1] : high[1], low[0] : high[0]]
    mixed: NDArray[np.float64] = part + share * (255 * soft - part)
    pixels[low[1] : high[1], low[0] : high[0]] = np.round(mixed).astype(np.uint8)
    return Picture(pixels)
