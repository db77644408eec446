"""Geometry and pictures in the plane, in NumPy: polygons, curves, blurs, samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""[N, 2] pixels."""


def inside_by(points: Points, polygon: Points) -> NDArray[np.float64]:
    """[N]: distance to the border of ``polygon`` [K, 2], positive inside."""
    distance = np.linalg.norm(points - nearest_on(points, polygon), axis=1)
    signed: NDArray[np.float64] = np.where(_contains(polygon, points), distance, -distance)
    return signed


def nearest_on(points: Points, polygon: Points) -> Points:
    """[N, 2]: the points of the border of ``polygon`` [K, 2] that are nearest."""
    along = np.roll(polygon, -1, axis=0) - polygon
    offset = points[:, None] - polygon
    share = np.clip((offset * along).sum(axis=-1) / np.maximum((along**2).sum(axis=1), 1e-12), 0, 1)
    left = offset - share[..., None] * along
    best = (left**2).sum(axis=-1).argmin(axis=1)
    nearest: Points = points - left[np.arange(len(points)), best]
    return nearest


def _contains(polygon: Points, points: Points) -> NDArray[np.bool_]:
    """[N]: a ray to the right crosses the border an odd number of times from inside."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    y = points[:, 1, None]
    crosses = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(end[:, 1] == start[:, 1], np.inf, end[:, 1] - start[:, 1])
    right = points[:, 0, None] < start[:, 0] + (y - start[:, 1]) / rise * (end[:, 0] - start[:, 0])
    odd: NDArray[np.bool_] = (crosses & right).sum(axis=1) % 2 == 1
    return odd


def resampled(curve: Points, count: int) -> Points:
    """``count`` points at equal distances along ``curve`` [K, 2], by Catmull-Rom splines."""
    padded = np.concatenate([2 * curve[:1] - curve[1:2], curve, 2 * curve[-1:] - curve[-2:-1]])
    share = np.linspace(0, 1, 17)[:-1, None, None]
    one, two, three, four = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    dense = 0.5 * (
        2 * two
        + (three - one) * share
        + (2 * one - 5 * two + 4 * three - four) * share**2
        + (3 * two - one - 3 * three + four) * share**3
    )
    dense = np.concatenate([dense.transpose(1, 0, 2).reshape(-1, 2), curve[-1:]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    places = np.linspace(0, length[-1], count)
    return np.stack([np.interp(places, length, dense[:, axis]) for axis in (0, 1)], axis=1)


def sampled(pixels: NDArray[np.uint8], places: Points) -> NDArray[np.float64]:
    """[..., 3] in 0..1 of a picture at ``places`` [..., 2], bilinear; places outside take the border's."""
    height, width = pixels.shape[:2]
    x = np.clip(places[..., 0] - 0.5, 0, width - 1.001)
    y = np.clip(places[..., 1] - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    right, down = (x - column)[..., None], (y - row)[..., None]
    top = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
    bottom = pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right
    mixed: NDArray[np.float64] = (top * (1 - down) + bottom * down) / 255
    return mixed


def blurred(values: NDArray[np.float64], sigma: float, axis: int) -> NDArray[np.float64]:
    """``values`` under a Gaussian of ``sigma`` items along ``axis``; the ends go on as they are."""
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    pad = [(0, 0)] * values.ndim
    pad[axis] = (reach, reach)
    padded = np.pad(values, pad, mode="edge")
    count = values.shape[axis]
    out = np.zeros_like(values)
    for number, weight in enumerate(kernel):
        out += weight * padded.take(np.arange(number, number + count), axis)
    return out


def smoothstep(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """0 up to ``low``, 1 from ``high`` on, and 3x² - 2x³ between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    smooth: NDArray[np.float64] = share * share * (3 - 2 * share)
    return smooth


def luminance(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """[...] of colours [..., 3] (weights of ITU-R BT.709, of the encoded values)."""
    light: NDArray[np.float64] = colours @ np.array([0.2126, 0.7152, 0.0722])
    return light
