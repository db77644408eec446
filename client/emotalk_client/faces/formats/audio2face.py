"""``.json``: blendshape weights as NVIDIA Audio2Face exports them, in Apple's order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emotalk_client.faces.track import Track
from emotalk_contract.arkit import APPLE_ORDER, BLENDSHAPES, columns


def document(track: Track) -> dict[str, Any]:
    """The export as a JSON object, but for ``weightMat``, which is an array [F, 52]."""
    return {
        "exportFps": track.fps,
        "trackPath": "",
        "numPoses": len(APPLE_ORDER),
        "numFrames": len(track),
        "facsNames": list(APPLE_ORDER),
        "weightMat": track.weights[:, columns(APPLE_ORDER)],
        "joints": [],
        "rotations": [],
        "translations": [],
    }


def write(track: Track, path: Path) -> None:
    """Write the whole animation."""
    content = document(track)
    content["weightMat"] = [[round(float(value), 7) for value in row] for row in content["weightMat"]]
    path.write_text(json.dumps(content) + "\n", "utf-8")


def read(path: Path, _: float | None = None) -> Track:
    """Read an export; its columns by name."""
    content = json.loads(path.read_text("utf-8"))
    names = content["facsNames"]
    weights = np.array(content["weightMat"], np.float32).reshape(-1, len(names))
    fps = float(content["exportFps"])
    order = [names.index(name) for name in BLENDSHAPES]
    return Track(weights[:, order], np.arange(len(weights)) / fps, fps)
