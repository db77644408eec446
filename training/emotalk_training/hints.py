"""Hints: what a pretrained encoder hears in speech, in few numbers, for a small network to hear too.

A network that is told only what the mouth does learns the readers it was shown by heart. The encoder's features, on
their principal axes, say more of every moment than articulators do, and the same of all speakers (hints after FitNets,
Romero et al. 2015). They are a target of the training alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_training.corpus import MUSIC
from emotalk_training.encoder import FEATURE_FPS
from emotalk_training.labels import LABEL_FPS, interpolated

HINTS = 64
"""Principal axes that are kept: two fifths of the features' variance."""
WHITENED = 0.35
"""Power of an axis's variance that it is divided by: 0.5 would make the last axis as loud as the first."""
FURTHEST = 6.0
"""Deviations at which a feature is clipped; a few of the encoder's are far out."""
FILE = "hints.f16"
SAMPLED = 450
"""Utterances that say where the axes lie."""

Hear = Callable[[NDArray[np.float32]], NDArray[np.float16]]
"""Audio [N] at 16 kHz to features [T, 512] at 50 Hz: :class:`emotalk_training.encoder.SpeechEncoder`."""


@dataclass(frozen=True, slots=True)
class Axes:
    """Principal axes of features."""

    mean: NDArray[np.float32]
    """[512]"""
    deviation: NDArray[np.float32]
    """[512]"""
    basis: NDArray[np.float32]
    """[512, 64]"""

    @classmethod
    def of(cls, features: Sequence[NDArray[np.float16]]) -> Axes:
        """Return the axes of ``features``, each [T, 512]; what they give has unit variance on the whole."""
        heard = np.concatenate(features).astype(np.float32)
        mean, deviation = heard.mean(0), heard.std(0) + 1e-3
        away = np.clip((heard - mean) / deviation, -FURTHEST, FURTHEST)
        variance, vectors = np.linalg.eigh(np.cov(away.T))
        strongest = np.argsort(variance)[::-1][:HINTS]
        basis = vectors[:, strongest] / np.maximum(variance[strongest], 1e-6) ** WHITENED
        return cls(mean, deviation, (basis / ((away @ basis).std() + 1e-6)).astype(np.float32))

    def at_labels(self, features: NDArray[np.float16], count: int) -> NDArray[np.float32]:
        """Return hints at 60 Hz, [count, 64], of ``features`` [T, 512] at 50 Hz."""
        away = np.clip((features.astype(np.float32) - self.mean) / self.deviation, -FURTHEST, FURTHEST)
        along = away @ self.basis
        return interpolated(along, np.arange(count) * FEATURE_FPS / LABEL_FPS)


def give_hints(folder: Path, hear: Hear, seed: int, progress: Callable[[int, int], None] | None = None) -> None:
    """Write the hints of every utterance of a prepared ``folder``, once."""
    path = folder / FILE
    if path.is_file():
        return
    items = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    flat = np.memmap(folder / "audio.i16", np.int16, "r")

    def features(item: dict[str, Any]) -> NDArray[np.float16]:
        first = item["first_sample"]
        return hear(flat[first : first + item["samples"]].astype(np.float32) / 32768)

    spoken = [number for number, item in enumerate(items) if item["engine"] != MUSIC]
    drawn = np.random.default_rng(seed).permutation(spoken)[:SAMPLED]
    known = {int(number): features(items[number]) for number in drawn}
    axes = Axes.of(list(known.values()))
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        for number, item in enumerate(items):
            if progress:
                progress(number, len(items))
            if item["engine"] == MUSIC:
                file.write(np.zeros((item["labels"], HINTS), np.float16).tobytes())
                continue
            heard = known.pop(number) if number in known else features(item)
            file.write(axes.at_labels(heard, item["labels"]).astype(np.float16).tobytes())
    partial.replace(path)


def load_hints(folder: Path) -> NDArray[np.float16]:
    """Return the hints of a prepared folder, [L, 64] beside its labels.

    Raises:
        FileNotFoundError: :func:`give_hints` was not called.
    """
    hints: NDArray[np.float16] = np.memmap(folder / FILE, np.float16, "r").reshape(-1, HINTS)
    return hints
