"""The face of a teacher: how well the encoder and its probe hear, which the network that ships is to come near to.

It looks as far ahead as a clip lasts, and has six times the weights: a mark, no product.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emotalk_export.compact import CompactFace
from emotalk_training.corpus import SAMPLE_RATE
from emotalk_training.dataset import FPS
from emotalk_training.encoder import SpeechEncoder
from emotalk_training.labels import LABEL_FPS
from emotalk_training.metrics import Weights
from emotalk_training.predict import composed
from emotalk_training.teacher import load_probe, said

_SURE = 1e-4
_STILL = -4.0
"""Logit of the upper face, of which a teacher says nothing."""


class TeacherFace:
    """Callable: a clip [N] at 16 kHz to weights [F, 52], clamped to 0..1.

    Args:
        probe: a file that ``emotalk-train teach`` wrote.
        cache: see :class:`~emotalk_training.encoder.SpeechEncoder`.

    Raises:
        CorpusError: the file is not such a probe.
    """

    def __init__(self, probe: Path, cache: Path) -> None:
        self._probe, _ = load_probe(probe)
        self._encoder = SpeechEncoder(cache)
        self._rules = CompactFace().eval()

    def __call__(self, audio: NDArray[np.float32]) -> Weights:
        """Return the weights [F, 52] of a clip at level 1, person 0."""
        frames = -(-len(audio) * FPS // SAMPLE_RATE)
        each = LABEL_FPS // FPS
        word = said(self._probe, self._encoder(audio), each * frames)[::each, :9]
        word = np.clip(word, _SURE, 1 - _SURE)
        logits = torch.from_numpy(np.log(word / (1 - word)).astype(np.float32))[None]
        return composed(self._rules, logits, torch.full((1, frames, 3), _STILL))
