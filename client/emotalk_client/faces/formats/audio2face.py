"""``.json``: blendshape weights as NVIDIA Audio2Face exports them, in Apple's order."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from emotalk_client.faces.formats.faults import Fault, matrix, shortened
from emotalk_client.faces.formats.files import MAX_JSON_BYTES, content_of, json_of
from emotalk_client.faces.formats.names import arranged
from emotalk_client.faces.formats.rates import said_rate
from emotalk_client.faces.resampling import on_grid
from emotalk_client.faces.track import MAX_FRAMES, Track
from emotalk_contract.arkit import APPLE_ORDER, columns
from emotalk_contract.timing import FPS

log = logging.getLogger(__name__)


def document(track: Track) -> dict[str, Any]:
    """The export as a JSON object, gaps filled, but for ``weightMat``, which is an array [F, 52]."""
    weights = on_grid(track)
    return {
        "exportFps": track.fps,
        "trackPath": "",
        "numPoses": len(APPLE_ORDER),
        "numFrames": len(weights),
        "facsNames": list(APPLE_ORDER),
        "weightMat": weights[:, columns(APPLE_ORDER)],
        "joints": [],
        "rotations": [[] for _ in weights],  # none of each frame
        "translations": [[] for _ in weights],
    }


def write(track: Track, path: Path) -> None:
    """Write the whole animation."""
    content = document(track)
    content["weightMat"] = [[round(float(value), 7) for value in row] for row in content["weightMat"]]
    path.write_text(json.dumps(content) + "\n", "utf-8")


def read(path: Path, fps: float | None = None) -> Track:
    """Read an export, its columns by name; ``fps`` (default 30) where it does not say its rate."""
    content = json_of(content_of(path, MAX_JSON_BYTES))
    if not isinstance(content, dict):
        raise Fault(f"it is {shortened(content)}; accepted: a JSON object")
    names, rows = (_list(content, key) for key in ("facsNames", "weightMat"))
    if len(rows) > MAX_FRAMES:
        raise Fault(f"weightMat has {len(rows)} rows; accepted: at most {MAX_FRAMES}")
    for key, found in (("numPoses", len(names)), ("numFrames", len(rows))):
        if key in content and content[key] != found:
            raise Fault(f"{key} is {shortened(content[key])}, but it has {found}")
    labels = [name if isinstance(name, str) else "?" for name in names]
    weights = arranged(matrix(rows, labels, "weightMat, row"), names)
    if (said := content.get("exportFps")) is not None:
        rate = said_rate(said, "exportFps")
    else:
        rate = fps or FPS
        log.warning("%s does not say its exportFps: it is read at %g fps", path.name, rate)
    return Track(weights, np.arange(len(weights)) / rate, rate)


def _list(content: dict[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list):
        raise Fault(f"{key} is {shortened(value) if key in content else 'missing'}; accepted: a list")
    return value
