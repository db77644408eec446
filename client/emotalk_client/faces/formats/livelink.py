"""``.csv``: a recording as Apple's Live Link Face app writes it, which Unreal and Blender add-ons read.

Header ``Timecode,BlendShapeCount`` and 61 names with a capital first letter: the 52 (right before left for jaw and
mouth), then nine head and eye rotations, which are 0 here. Timecode is ``HH:MM:SS:FF.mmm``, FF counting the frames of
a second; at a rate that is not whole (29.97) it counts on to the next whole number, as non-drop timecode does.
"""

from __future__ import annotations

import csv
import math
from itertools import pairwise
from pathlib import Path

import numpy as np

from emotalk_client.faces.track import Track
from emotalk_contract.arkit import BLENDSHAPES, HEAD_AND_EYE_ROTATIONS, LIVE_LINK_CSV_ORDER, columns
from emotalk_contract.timing import FPS

NAMES = (*LIVE_LINK_CSV_ORDER, *HEAD_AND_EYE_ROTATIONS)


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def timecode(seconds: float, fps: float) -> str:
    """``HH:MM:SS:FF.mmm``: whole frames, and thousandths of a frame."""
    milliframes = round(seconds * fps * 1000)
    per_second = math.ceil(fps - 1e-6)
    frames, rest = divmod(milliframes, 1000)
    total, frame = divmod(frames, per_second)
    return f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}:{frame:02d}.{rest:03d}"


def write(track: Track, path: Path) -> None:
    """Write a row a frame."""
    weights = track.weights[:, columns(LIVE_LINK_CSV_ORDER)]
    still = ["0.0000000000"] * len(HEAD_AND_EYE_ROTATIONS)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Timecode", "BlendShapeCount", *map(_capital, NAMES)])
        for seconds, row in zip(track.timecodes, weights, strict=True):
            values = [f"{value:.10f}" for value in row]
            writer.writerow([timecode(float(seconds), track.fps), len(NAMES), *values, *still])


def read(path: Path, fps: float | None = None) -> Track:
    """Read a recording, its columns by name.

    Its rate is ``fps``, or what a whole second of it holds; 30 where it holds no whole second.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if missing := {_capital(name) for name in BLENDSHAPES} - set(reader.fieldnames or ()):
        raise ValueError(f"columns are missing: {', '.join(sorted(missing)[:3])}...")
    weights = np.array([[float(row[_capital(name)]) for name in BLENDSHAPES] for row in rows], np.float32)
    times = [_parsed(row["Timecode"]) for row in rows]
    rate = fps or _rate(times)
    per_second = math.ceil(rate - 1e-6)
    seconds = [(whole * per_second + frames) / rate for whole, frames in times]
    return Track(weights.reshape(-1, len(BLENDSHAPES)), np.array(seconds, np.float64), rate)


def _parsed(text: str) -> tuple[int, float]:
    """Whole seconds and frames of a timecode."""
    hours, minutes, seconds, frames = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + int(seconds), float(frames)


def _rate(times: list[tuple[int, float]]) -> float:
    """Frames a second: one more than the last that a second counts before the next begins."""
    counted = [math.floor(frames) for (second, frames), (after, _) in pairwise(times) if after > second]
    return max(counted) + 1 if counted else FPS
