"""Checkpoints of the bundled network on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emotalk_export.checkpoint import open_checkpoint
from emotalk_export.compact import CompactFace


def read_checkpoint(path: Path) -> tuple[dict[str, Any], CompactFace]:
    """Return what a file holds, copied out of it (it may be written again), and its network.

    Raises:
        emotalk_export.errors.CheckpointError: there is no such file, or torch cannot load it.
        emotalk_export.compact.CheckpointError: it is not a bundled face model's.
    """
    stored = dict(open_checkpoint(path).content)
    model = CompactFace.from_checkpoint(stored)
    stored["state_dict"] = {name: tensor.clone() for name, tensor in stored["state_dict"].items()}
    return stored, model
