"""Labels by a teacher: a file for each utterance of a corpus, beside the recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_export.compact_rig import MOUTH
from emotalk_training.corpus import CorpusError, Utterance

TAUGHT = len(MOUTH) + 1 + 1 + 1
"""Columns of a taught label: articulators, speaking, viseme class, weight."""
FOLDER = "taught"
FACTS = "facts.json"
TEACHER = "teacher.pt"
"""Beside the labels: one of the probes, which times the phones of speech that it has not heard."""


def taught_path(folder: Path, name: str) -> Path:
    """Return the file with what was taught about an utterance of a corpus folder."""
    return folder / FOLDER / f"{name}.npy"


def taught_labels(utterance: Utterance) -> NDArray[np.float32] | None:
    """Return what was taught about ``utterance``, [L, 11] at 60 Hz; None where it was not.

    Raises:
        CorpusError: the file is something else.
    """
    path = taught_path(utterance.path.parent, utterance.name)
    if not path.is_file():
        return None
    labels = np.load(path).astype(np.float32)
    if labels.ndim != 2 or labels.shape[1] != TAUGHT:  # a table
        raise CorpusError(f"{path} has the shape {labels.shape}; accepted: [L, {TAUGHT}]")
    return np.asarray(labels)


def taught_version(folder: Path) -> bytes:
    """Return what changes where a corpus was taught anew."""
    facts = folder / FOLDER / FACTS
    return facts.read_bytes() if facts.is_file() else b""
