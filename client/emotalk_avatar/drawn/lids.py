"""Closed upper lids, drawn from the skin around the eye: bulge, crease and lashes.

The texture of a lid is unrolled: columns run from the outer corner of the eye to the inner, rows from the crease down
to the border, and below it along the lashes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting import mesh478
from emotalk_avatar.fitting.plane import Points, blurred, luminance, resampled, sampled, smoothstep

SIZE = (160, 96)
"""Columns and rows of one lid, pixels."""
LID_SHARE = 0.72
"""Of the rows that are lid; the rest is lashes."""
LASHES = 34
"""Of one lid."""
SKIN_LIGHT = (0.72, 1.0)
"""Luminance that a lid may have, in shares of the skin's under the eye: what is outside is brow, glasses or glare."""


def texture(picture: Picture, face: Face, side: str, crease: Points) -> NDArray[np.uint8]:
    """Return RGBA [96, 160, 4] of the lid of ``side`` ("Left" or "Right"), whose fold lies along ``crease`` [K, 2]."""
    columns, rows = SIZE
    lid_rows = round(rows * LID_SHARE)
    skin, top = _skin(picture, face, side, crease)
    row = (np.arange(lid_rows) + 0.5)[:, None] / lid_rows
    colour = top + (skin - top) * smoothstep(row, -0.05, 0.60)[..., None]
    shade = 1 - 0.13 * np.exp(-(((row - 0.13) / 0.05) ** 2)) + 0.05 * np.exp(-(((row - 0.55) / 0.25) ** 2))
    shade = shade * (1 - 0.16 * smoothstep(row, 0.70, 1.0)) * _rounded(columns)
    lid = colour * shade[..., None] * (1 + _grain(picture, face, side, lid_rows))[..., None]
    out = np.zeros((rows, columns, 4))
    out[:lid_rows, :, :3] = lid
    out[:lid_rows, :, 3] = smoothstep(row, 0.0, 0.18) * smoothstep(_from_corner(columns), 0.0, 0.10)
    dark = _lash_colour(picture, face, side)
    out[lid_rows:, :, :3] = dark
    hair = _lashes(rows - lid_rows, columns)
    out[lid_rows:, :, 3] = hair
    # The lashes' roots: a soft dark line along the border.
    root = 0.85 * smoothstep(row, 0.90, 0.985) * _toward_middle(columns)
    out[:lid_rows, :, :3] += root[..., None] * (dark - out[:lid_rows, :, :3])
    pixels: NDArray[np.uint8] = np.round(255 * np.clip(out, 0, 1)).astype(np.uint8)
    return pixels


def _from_corner(columns: int) -> NDArray[np.float64]:
    """[columns]: distance from the nearer corner, in shares of the eye's width."""
    along = (np.arange(columns) + 0.5) / columns
    return np.minimum(along, 1 - along)


def _rounded(columns: int) -> NDArray[np.float64]:
    """[columns]: light on a ball, which turns away towards the corners."""
    return 0.80 + 0.20 * smoothstep(_from_corner(columns), 0.0, 0.35)


def _toward_middle(columns: int) -> NDArray[np.float64]:
    """[columns]: 0 at the corners of the eye, 1 between; lashes end before the inner corner (the last column)."""
    along = (np.arange(columns) + 0.5) / columns
    return smoothstep(along, 0.02, 0.14) * (1 - smoothstep(along, 0.80, 0.97))


def _skin(picture: Picture, face: Face, side: str, crease: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lid's colour by column [columns, 3], and that of the picture along the crease [columns, 3]."""
    columns = SIZE[0]
    lower = resampled(face.landmarks[list(mesh478.EYE_LOWER[side]), :2].astype(np.float64), columns)
    brow = resampled(face.landmarks[list(mesh478.BROW_LOWER[side]), :2].astype(np.float64), columns)
    fold = resampled(crease, columns)
    wide = float(np.linalg.norm(lower[-1] - lower[0]))
    down = _down(face)
    share = np.linspace(0.15, 0.55, 9)[:, None, None]
    above = sampled(picture.pixels, fold + (brow - fold) * share)
    below = sampled(picture.pixels, lower + down * wide * np.linspace(0.22, 0.40, 7)[:, None, None])
    under = np.median(below.reshape(-1, 3), axis=0)
    reference = float(luminance(under))
    upper = np.median(above, axis=0)
    light = luminance(upper)
    fits = smoothstep(light, 0.5 * reference, SKIN_LIGHT[0] * reference) * (
        1 - smoothstep(light, SKIN_LIGHT[1] * reference, 1.35 * reference)
    )
    fits = blurred(fits, columns / 12, 0)[:, None]
    near = np.median(below, axis=0)
    colour = blurred(fits * upper + (1 - fits) * (0.35 * near + 0.6 * under), columns / 14, 0)
    light = luminance(colour)
    wanted = np.clip(light, SKIN_LIGHT[0] * reference, SKIN_LIGHT[1] * reference)
    colour *= (wanted / np.maximum(light, 1e-3))[:, None]
    top = blurred(sampled(picture.pixels, fold), columns / 40, 0)
    return colour, top


def _down(face: Face) -> NDArray[np.float64]:
    """[2]: the unit vector from the forehead to the chin."""
    top, chin = face.landmarks[[mesh478.FOREHEAD, mesh478.CHIN], :2].astype(np.float64)
    down: NDArray[np.float64] = (chin - top) / np.linalg.norm(chin - top)
    return down


def _grain(picture: Picture, face: Face, side: str, rows: int) -> NDArray[np.float64]:
    """[rows, columns]: fine changes of light in the skin under the eye, a few percent."""
    columns = SIZE[0]
    lower = resampled(face.landmarks[list(mesh478.EYE_LOWER[side]), :2].astype(np.float64), columns)
    wide = float(np.linalg.norm(lower[-1] - lower[0]))
    places = lower + _down(face) * wide * np.linspace(0.25, 0.60, rows)[::-1, None, None]
    light = luminance(sampled(picture.pixels, places))
    smooth = blurred(blurred(light, 4, 0), 4, 1)
    grain: NDArray[np.float64] = np.clip(light / np.maximum(smooth, 0.02) - 1, -0.06, 0.06)
    return grain


def _lash_colour(picture: Picture, face: Face, side: str) -> NDArray[np.float64]:
    """[3]: the darkest tenth of what is seen along the upper border."""
    border = resampled(face.landmarks[list(mesh478.EYE_UPPER[side]), :2].astype(np.float64), 60)
    colours = sampled(picture.pixels, border)
    light = luminance(colours)
    dark = colours[light <= np.quantile(light, 0.15)].mean(axis=0)
    colour: NDArray[np.float64] = np.minimum(dark, 0.55 * np.median(colours, axis=0) + 0.02)
    return colour


def _lashes(rows: int, columns: int) -> NDArray[np.float64]:
    """Opacity [rows, columns] of lashes that grow downwards and away from the nose; the same ones for everybody."""
    chance = np.random.default_rng(5)
    opacity: NDArray[np.float64] = np.zeros((rows, columns))
    y, x = (np.mgrid[0:rows, 0:columns] + 0.5) / [[[rows]], [[columns]]]
    for root in np.linspace(0.06, 0.90, LASHES) + chance.uniform(-0.008, 0.008, LASHES):
        length = (0.55 + 0.45 * np.sin(np.pi * (1 - root) ** 0.8)) * chance.uniform(0.7, 1.0)
        lean = 0.10 * (0.55 - root) * 1.6 + chance.uniform(-0.012, 0.012)
        way = np.clip(y / length, 0, 1)
        middle = root - lean * way**1.5
        thick = 0.0055 * (1 - 0.75 * way)
        hair = np.exp(-(((x - middle) / thick) ** 2)) * (y <= length) * (1 - 0.6 * way)
        opacity = np.maximum(opacity, hair)
    shown: NDArray[np.float64] = (0.80 * opacity + 0.5 * np.exp(-y * 9) * (1 - opacity)) * _toward_middle(columns)
    return shown
