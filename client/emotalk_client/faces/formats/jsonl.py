"""``.jsonl``: a line a frame, ``{"timecode": seconds, "blendshapes": [52 weights in EmoTalk order]}``.

Where the head moves there is ``"rotations"`` too, nine angles in radians (:mod:`emotalk_client.faces.rotations`).
"""

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
from emotalk_contract.arkit import BLENDSHAPES, HEAD_AND_EYE_ROTATIONS

MAX_LINE = 1 << 16
"""Bytes."""


def line(seconds: float, weights: NDArray[np.float32], rotations: NDArray[np.float32] | None = None) -> str:
    """One frame, [52] weights and [9] rotations, without the line's end."""
    content = {"timecode": float(seconds), "blendshapes": [round(float(value), 7) for value in weights]}
    if rotations is not None:
        content["rotations"] = [round(float(value), 7) for value in rotations]
    return json.dumps(content)


def write(track: Track, path: Path) -> None:
    """Write a line a frame."""
    with path.open("w", encoding="utf-8") as file:
        turned = [None] * len(track) if track.rotations is None else track.rotations
        for seconds, row, rotations in zip(track.timecodes, track.weights, turned, strict=True):
            file.write(line(seconds, row, rotations) + "\n")


def read(path: Path, fps: float | None = None) -> Track:
    """Read the lines; the rate is that of their timecodes, or ``fps`` where there is only one."""
    rows, seconds, turned = [], [], []
    for number, content in _frames(path):
        missing = [key for key in ("timecode", "blendshapes") if key not in content]
        if missing:
            raise Fault(f"row {number} has no {missing[0]}")
        seconds.append(content["timecode"])
        if not isinstance(seconds[-1], int | float) or isinstance(seconds[-1], bool) or not abs(seconds[-1]) < 1e12:
            raise Fault(f"row {number} has the timecode {shortened(seconds[-1])}; accepted: seconds")
        rows.append(content["blendshapes"])
        if (rotations := content.get("rotations")) is not None:
            turned.append(rotations)
        if len(rows) > MAX_FRAMES:
            raise Fault(f"it has more than {MAX_FRAMES} rows, which is the most that is read")
    if not rows:
        raise Fault("it is empty")
    times = np.array(seconds, np.float64)
    check_ascending(times)
    if turned and len(turned) < len(rows):
        raise Fault(f"{len(turned)} of its {len(rows)} rows have rotations; accepted: all or none")
    rotations = matrix(turned, HEAD_AND_EYE_ROTATIONS) if turned else None
    return Track(matrix(rows, BLENDSHAPES), times, rate_of(times, fps), rotations=rotations)


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
