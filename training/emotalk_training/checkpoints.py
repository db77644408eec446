"""Checkpoints of the bundled network on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emotalk_export.checkpoint import open_checkpoint
from emotalk_export.compact import CompactFace
from emotalk_export.face import CompactFaceModel


def read_checkpoint(path: Path) -> tuple[dict[str, Any], CompactFace]:
    """Return what a file holds, copied out of it (it may be written again), and its network.

    Raises:
        emotalk_export.errors.CheckpointError: there is no such file, or it is not a bundled face model's.
    """
    read = CompactFaceModel(open_checkpoint(path))
    state = {name: tensor.clone() for name, tensor in read.file.content["state_dict"].items()}
    return {**read.file.content, "state_dict": state}, read.face
