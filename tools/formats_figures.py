"""The figures of docs/formats.md: ``python tools/formats_figures.py FACE.npy``, an animation at 30 fps.

Prints, as Markdown, how many lip closures other frame rates keep: as :mod:`emotalk_client.faces.resampling` samples,
and along straight lines.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from emotalk_client import Animation
from emotalk_contract.lips import gap_mm

RATES = (10, 12, 15, 24, 25, 48, 60)
DEEP_MM = -1.0
"""Lips that overlap this far at a moment are a closure."""


def closures(gap: NDArray[np.float32]) -> NDArray[np.intp]:
    """Frames at which ``gap`` [F] is smallest."""
    smallest = (gap[1:-1] <= gap[:-2]) & (gap[1:-1] < gap[2:]) & (gap[1:-1] <= DEEP_MM)
    return np.flatnonzero(smallest) + 1


def depths(face: Animation, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The smallest gap that ``face`` shows within half a frame of each moment."""
    gap = gap_mm(face.weights)
    near = [np.abs(face.timecodes - moment) <= 0.5 / face.fps + 1e-9 for moment in seconds]
    return np.array([gap[frames].min(initial=np.inf) for frames in near], np.float32)


def along_lines(face: Animation, fps: float) -> Animation:
    """Sample straight lines between frames."""
    times = face.resampled(fps).timecodes
    curves = [np.interp(times, face.timecodes, curve) for curve in face.weights.T]
    return Animation(np.stack(curves, axis=1).astype(np.float32), times, fps)


def main(path: str) -> None:
    """Print the table."""
    face = Animation.load(path)
    gap = gap_mm(face.weights)
    moments = closures(gap)
    seconds = face.timecodes[moments]
    out = [f"{len(moments)} closures, {len(face)} frames", "", "| fps | kept | along lines | mm lost | along lines |"]
    for fps in RATES:
        shown = [depths(version, seconds) for version in (face.resampled(fps), along_lines(face, fps))]
        kept = " | ".join(str(int((depth <= 0).sum())) for depth in shown)
        lost = " | ".join(f"{np.mean(depth - gap[moments]):.2f}" for depth in shown)
        out.append(f"| {fps} | {kept} | {lost} |")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
