"""``.jsonl``: a line a frame, ``{"timecode": seconds, "blendshapes": [52 weights in EmoTalk order]}``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.faces.formats.faults import Fault, check_ascending, matrix, shortened
from emotalk_client.faces.formats.files import json_of
from emotalk_client.faces.formats.rates import rate_of
from emotalk_client.faces.track import MAX_FRAMES, Track
from emotalk_contract.arkit import BLENDSHAPES

MAX_LINE = 1 << 16
"""Bytes."""


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
    rows, seconds = [], []
    for number, content in _frames(path):
        missing = [key for key in ("timecode", "blendshapes") if key not in content]
        if missing:
            raise Fault(f"row {number} has no {missing[0]}")
        seconds.append(content["timecode"])
        if not isinstance(seconds[-1], int | float) or isinstance(seconds[-1], bool) or not abs(seconds[-1]) < 1e12:
            raise Fault(f"row {number} has the timecode {shortened(seconds[-1])}; accepted: seconds")
        rows.append(content["blendshapes"])
        if len(rows) > MAX_FRAMES:
            raise Fault(f"it has more than {MAX_FRAMES} rows, which is the most that is read")
    if not rows:
        raise Fault("it is empty")
    times = np.array(seconds, np.float64)
    check_ascending(times)
    return Track(matrix(rows, BLENDSHAPES), times, rate_of(times, fps))


def _frames(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of ``path``, and the rows that they stand in."""
    with path.open("rb") as file:
        for number, text in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1):
            if len(text) == MAX_LINE:
                raise Fault(f"row {number} has more than {MAX_LINE} bytes")
            if not text.removeprefix(b"\xef\xbb\xbf").strip():
                continue
            try:
                content = json_of(text)
            except Fault as fault:
                raise Fault(f"row {number}: {fault}") from fault
            if not isinstance(content, dict):
                raise Fault(f"row {number} is {shortened(content)}; accepted: a JSON object")
            yield number, content
