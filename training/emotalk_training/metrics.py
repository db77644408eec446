"""Distance of a predicted face from the face that the rules ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from emotalk_contract.arkit import BLENDSHAPES, INDEX

Weights = NDArray[np.float32]
"""[F, 52] in EmoTalk order, 30 fps."""

FPS = 30
CLOSURE_HEIGHT = 0.25
CLOSURE_PROMINENCE = 0.08
"""A closure is a peak of mouthPressLeft at least this high, standing out at least this much."""
HELD_SHARE = 0.6
"""Of the lower of two peaks of mouthPressLeft, above which the lips do not part between them."""
TOLERANCE_FRAMES = 2
LAG_REACH_FRAMES = 12

PRESS = INDEX["mouthPressLeft"]
JAW = INDEX["jawOpen"]

MOUTH_CHANNELS: tuple[str, ...] = tuple(n for n in BLENDSHAPES if n.startswith(("mouth", "jaw", "tongue")))
"""Channels that must rest in silence."""


def closures(weights: Weights, height: float = CLOSURE_HEIGHT) -> NDArray[np.int64]:
    """Frames at which the lips press together: of a closure that is held, its middle.

    Two peaks between which the lips stay pressed are one closure: a long one counts once.
    """
    press = np.concatenate([[0], weights[:, PRESS], [0]])
    peaks = find_peaks(press, height=height, prominence=CLOSURE_PROMINENCE)[0]
    held: list[list[int]] = []
    for peak in peaks:
        if held and press[held[-1][-1] : peak].min() > HELD_SHARE * min(press[held[-1][-1]], press[peak]):
            held[-1].append(int(peak))
        else:
            held.append([int(peak)])
    return np.array([round((one[0] + one[-1]) / 2) - 1 for one in held], np.int64)


def matched(truth: Sequence[int], found: Sequence[int], tolerance: int) -> list[int]:
    """Offsets (found - truth, frames) of one-to-one matches, nearest first come in the order of ``truth``."""
    used: set[int] = set()
    offsets = []
    for frame in truth:
        near = [(abs(f - frame), i) for i, f in enumerate(found) if i not in used and abs(f - frame) <= tolerance]
        if near:
            _, i = min(near)
            used.add(i)
            offsets.append(int(found[i] - frame))
    return offsets


def lag_ms(truth: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the lag of the cross-correlation's peak, by a parabola through three points (positive: late)."""
    a, b = truth - truth.mean(), found - found.mean()
    reach = LAG_REACH_FRAMES
    r = np.zeros(2 * reach + 1)
    for k in range(-reach, reach + 1):
        x, y = a[max(0, -k) : len(a) - max(0, k)], b[max(0, k) : len(b) - max(0, -k)]
        r[k + reach] = (x * y).sum() / (np.sqrt((x * x).sum() * (y * y).sum()) + 1e-9)
    i = int(r.argmax())
    bend = 0.0
    if 0 < i < 2 * reach:
        bend = (r[i - 1] - r[i + 1]) / (2 * (r[i - 1] - 2 * r[i] + r[i + 1]) + 1e-12)
    return float((i - reach + bend) / FPS * 1000)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of one set of clips."""

    clips: int
    minutes: float
    correlation: dict[str, float]
    """Pearson r over all frames of the set, by channel."""
    recall: float
    precision: float
    """Closures within 2 frames."""
    closures: int
    jaw_lag_ms: float
    """Median over clips."""
    closure_lag_ms: float
    """Mean over matches within 3 frames."""
    amplitude: float
    """Standard deviation of the predicted jaw over that of the truth: 1 is full size."""


CHANNELS: tuple[str, ...] = (
    "jawOpen", "mouthPressLeft", "mouthRollLower", "mouthFunnel", "mouthPucker",
    "mouthStretchLeft", "mouthLowerDownLeft", "mouthUpperUpLeft", "browInnerUp",
)  # fmt: skip


def accuracy(truth: Sequence[Weights], found: Sequence[Weights], channels: Sequence[str] = CHANNELS) -> Accuracy:
    """Compare predictions with the rules' curves, clip by clip of equal or nearly equal lengths."""
    pairs = [(t[: len(p)], p[: len(t)]) for t, p in zip(truth, found, strict=True)]
    all_truth = np.concatenate([t for t, _ in pairs])
    all_found = np.concatenate([p for _, p in pairs])
    correlation = {}
    for name in channels:
        x, y = all_truth[:, INDEX[name]], all_found[:, INDEX[name]]
        correlation[name] = float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else 0.0
    expected = [list(closures(t)) for t, _ in pairs]
    seen = [list(closures(p)) for _, p in pairs]
    hits = sum(len(matched(e, s, TOLERANCE_FRAMES)) for e, s in zip(expected, seen, strict=True))
    offsets = [o for e, s in zip(expected, seen, strict=True) for o in matched(e, s, 3)]
    return Accuracy(
        clips=len(pairs),
        minutes=len(all_truth) / FPS / 60,
        correlation=correlation,
        recall=hits / max(1, sum(map(len, expected))),
        precision=hits / max(1, sum(map(len, seen))),
        closures=sum(map(len, expected)),
        jaw_lag_ms=float(np.median([lag_ms(t[:, JAW], p[:, JAW]) for t, p in pairs])),
        closure_lag_ms=float(np.mean(offsets) / FPS * 1000) if offsets else float("nan"),
        amplitude=float(all_found[:, JAW].std() / (all_truth[:, JAW].std() + 1e-9)),
    )
