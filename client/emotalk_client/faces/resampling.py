"""An animation at another frame rate.

Rule that this module guards: **the clip stays as long as it was, and closed lips stay seen.** Frame k of the result is
the face at ``k / fps`` seconds from the first; there are ``ceil(F * fps / rate)`` of them, so the first is the first,
and the last lies within a frame of the end.

Theory of operation. Between frames every curve is a monotone piecewise cubic (Fritsch & Carlson, SIAM J. Numer. Anal.
17 (1980) 238; slopes by Fritsch & Butland, SIAM J. Sci. Stat. Comput. 5 (1984) 300): it passes through every frame,
never leaves the range of its two neighbours, so that no lip that is closed opens and no weight leaves 0..1, and has no
corners, which straight lines show as jerks at twice the rate. After the last frame the face rests.

At a lower rate some moments fall between frames. A lip closure or a blink is short, and what people look for: where
one would be missed, the mouth (or the lids) of the nearest frame shows it, at most half a frame early or late.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import InvalidRate
from emotalk_client.faces.track import MAX_FRAMES, Track
from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_contract.limits import MAX_EXPORT_FPS, MIN_EXPORT_FPS
from emotalk_contract.lips import gap_mm

MOUTH = [i for i, name in enumerate(BLENDSHAPES) if name.startswith(("jaw", "mouth", "tongue", "cheekPuff"))]
"""Columns that speech moves together."""
LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]

CLOSER_MM = 0.5
"""A moment with lips that meet counts as missed when the frame's own lips are this much further apart."""
SHUT, CLOSER_LIDS = 0.5, 0.1
"""Likewise one with lids shut beyond the first weight, when the frame's own are less shut by the second."""


EVEN = 0.25
"""Frames by which the moments of a clip without gaps may stray from its grid."""


def is_rate(fps: object) -> bool:
    """Return whether ``fps`` is a frame rate that is accepted."""
    number = isinstance(fps, int | float | np.integer | np.floating) and not isinstance(fps, bool)
    return number and bool(MIN_EXPORT_FPS <= fps <= MAX_EXPORT_FPS)  # type: ignore[operator]  # NaN fails too


def check_rate(fps: float) -> float:
    """Return ``fps`` if it is a frame rate; raise :class:`InvalidRate` otherwise."""
    if not is_rate(fps):
        raise InvalidRate(f"fps is {fps!r}; accepted: {MIN_EXPORT_FPS}..{MAX_EXPORT_FPS} frames a second")
    return float(fps)


def is_even(seconds: NDArray[np.float64], fps: float) -> bool:
    """Return whether frames at ``seconds`` [F] from the first lie within :data:`EVEN` frames of every 1 / ``fps``."""
    return not len(seconds) or bool(np.abs(seconds * fps - np.arange(len(seconds))).max() <= EVEN)


def evenly(weights: NDArray[np.float32], seconds: NDArray[np.float64], fps: float) -> NDArray[np.float32]:
    """``weights`` [F, 52] of frames at ``seconds`` [F], ascending from 0, as [N, 52] with a frame every 1 / ``fps``.

    The curves are those between frames; over a gap they lead from its first frame to its last.
    """
    frames = round(float(seconds[-1]) * fps) + 1
    if frames > MAX_FRAMES:
        raise InvalidRate(
            f"a clip of {seconds[-1]:.0f} s has {frames} frames at {fps:g} fps; accepted: at most {MAX_FRAMES}"
        )
    return _interpolated(weights, np.minimum(np.arange(frames) / fps, seconds[-1]), seconds)


def on_grid(track: Track) -> NDArray[np.float32]:
    """The weights of ``track`` with a frame every 1 / fps seconds from its first one; :func:`evenly` fills gaps."""
    return track.weights if is_even(track.seconds, track.fps) else evenly(track.weights, track.seconds, track.fps)


def turned_at(
    rotations: NDArray[np.float32], seconds: NDArray[np.float64], moments: NDArray[np.float64]
) -> NDArray[np.float32]:
    """``rotations`` [F, 9] of frames at ``seconds`` [F], on straight lines between them at ``moments`` [N]."""
    columns = [np.interp(moments, seconds, column) for column in rotations.T.astype(np.float64)]
    return np.stack(columns, axis=1).astype(np.float32)


def frame_total(frames: int, rate: float, fps: float) -> int:
    """Frames at ``fps`` of a clip of ``frames`` frames at ``rate`` (a millionth is taken for a float's error)."""
    return math.ceil(frames * fps / rate - 1e-6)


def resampled(weights: NDArray[np.float32], rate: float, fps: float) -> NDArray[np.float32]:
    """``weights`` [F, 52] at ``rate`` frames a second as [ceil(F fps / rate), 52] at ``fps``."""
    return excerpt(weights, rate, fps, 0.0, frame_total(len(weights), rate, fps))


def excerpt(weights: NDArray[np.float32], rate: float, fps: float, start_s: float, frames: int) -> NDArray[np.float32]:
    """The ``frames`` faces from ``start_s`` seconds on, [frames, 52] at ``fps``; ``weights`` as of :func:`resampled`.

    Where ``start_s`` is one of the moments of the whole clip at ``fps``, these are its frames.
    """
    if not len(weights) or not frames:
        return weights[:0]
    first = start_s * fps
    if abs(first - round(first)) < 1e-6:
        first = float(round(first))
    position = (first + np.arange(frames)) * (rate / fps)
    # Only what can matter: curves look at two neighbours, closures at half a frame of the new rate.
    reach = max(2, math.ceil(rate / fps / 2)) + 1
    begin = min(max(0, math.floor(first * rate / fps) - reach), len(weights) - 1)
    end = math.ceil((first + frames) * rate / fps) + reach
    weights, position = weights[begin:end], position - begin
    knots = np.arange(len(weights), dtype=np.float64)
    out = _interpolated(weights, np.minimum(position, len(weights) - 1), knots)
    if fps < rate:
        half = rate / fps / 2
        _keep(out, weights, position, half, MOUTH, lambda face: -gap_mm(face), 0.0, CLOSER_MM)
        _keep(out, weights, position, half, LIDS, lambda face: face[:, LIDS].mean(axis=1), SHUT, CLOSER_LIDS)
    return out


def _keep(
    out: NDArray[np.float32],
    weights: NDArray[np.float32],
    position: NDArray[np.float64],
    half: float,
    columns: list[int],
    closure: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    least: float,
    missed: float,
) -> None:
    """Give a frame of ``out`` the ``columns`` of the most closed frame of ``weights`` within ``half`` a step of it.

    Only where ``closure`` of that is at least ``least``, and more than the frame's own by more than ``missed``.
    """
    closed, shown = closure(weights), closure(out)
    # A frame half way between two belongs to the later, whatever a float's error makes of it.
    firsts = np.ceil(position - half - 1e-6).clip(0).astype(int)
    ends = np.ceil(position + half - 1e-6).clip(max=len(weights)).astype(int)
    for frame, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        if first < end:
            most = first + int(np.argmax(closed[first:end]))
            if closed[most] >= least and closed[most] - shown[frame] > missed:
                out[frame, columns] = weights[most, columns]


def _interpolated(
    weights: NDArray[np.float32], position: NDArray[np.float64], knots: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The curves through ``weights`` [F, 52] of frames at ``knots`` [F], at ``position`` [N] within them."""
    if len(weights) == 1:
        return np.repeat(weights, len(position), axis=0)
    wide, width = weights.astype(np.float64), np.diff(knots)[:, None]
    before = (np.searchsorted(knots, position, side="right") - 1).clip(0, len(weights) - 2)
    t = ((position - knots[before]) / width[before, 0])[:, None]
    slope = _slopes(wide, width)
    # The cubic Hermite basis.
    curve: NDArray[np.float64] = (
        wide[before] * ((1 + 2 * t) * (1 - t) ** 2)
        + slope[before] * width[before] * (t * (1 - t) ** 2)
        + wide[before + 1] * (t * t * (3 - 2 * t))
        + slope[before + 1] * width[before] * (t * t * (t - 1))
    )
    return curve.astype(np.float32)


def _slopes(values: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope at each frame: the weighted harmonic mean of its neighbours' steps, 0 at a peak; at the ends the step."""
    step = np.diff(values, axis=0) / width
    left, right = width[:-1] + 2 * width[1:], 2 * width[:-1] + width[1:]
    product = step[:-1] * step[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(product > 0, (left + right) * product / (left * step[1:] + right * step[:-1]), 0.0)
    return np.concatenate([step[:1], inner, step[-1:]])
