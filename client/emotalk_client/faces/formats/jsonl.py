"""``.jsonl``: a line a frame, ``{"timecode": seconds, "blendshapes": [52 weights in EmoTalk order]}``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats.rates import rate_of
from emotalk_client.faces.track import Track
from emotalk_contract.arkit import BLENDSHAPE_COUNT


def line(seconds: float, weights: NDArray[np.float32]) -> str:
    """One frame, [52] weights, without the line's end."""
    return json.dumps({"timecode": float(seconds), "blendshapes": [round(float(value), 7) for value in weights]})


def write(track: Track, path: Path) -> None:
    """Write a line a frame."""
    with path.open("w", encoding="utf-8") as file:
        for seconds, row in zip(track.timecodes, track.weights, strict=True):
            file.write(line(seconds, row) + "\n")


def read(path: Path, fps: float | None = None) -> Track:
    """Read the lines; the rate is that of their timecodes, or ``fps`` where there is only one."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    if not lines:
        raise ValueError("it is empty")
    weights = np.array([line["blendshapes"] for line in lines], np.float32).reshape(-1, BLENDSHAPE_COUNT)
    seconds = np.array([line["timecode"] for line in lines], np.float64)
    return Track(weights, seconds, rate_of(seconds, fps))
