"""The face of a teacher: how well the encoder and its probe hear, which the network that ships is to come near to.

It looks as far ahead as a clip lasts, unless it is held to less, and has six times the weights: a mark, no product.
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
_PAST_S = 6.0
"""Of a teacher that is held to a look-ahead."""
_TOGETHER = 3
"""Frames after which a frame falls on a sample again: clips that are cut there keep their frames."""


class TeacherFace:
    """Callable: a clip [N] at 16 kHz to weights [F, 52], clamped to 0..1.

    Args:
        probe: a file that ``emotalk-train teach`` wrote.
        cache: see :class:`~emotalk_training.encoder.SpeechEncoder`.
        look_ahead_s: seconds after a frame that it hears at most; a call of the encoder for each frame. None: all.

    Raises:
        CorpusError: the file is not such a probe.
    """

    def __init__(self, probe: Path, cache: Path, look_ahead_s: float | None = None) -> None:
        self._probe, _ = load_probe(probe)
        self._encoder = SpeechEncoder(cache)
        self._rules = CompactFace().eval()
        self._look_ahead_s = look_ahead_s

    def __call__(self, audio: NDArray[np.float32]) -> Weights:
        """Return the weights [F, 52] of a clip at level 1, person 0."""
        frames = -(-len(audio) * FPS // SAMPLE_RATE)
        ahead_s = self._look_ahead_s
        word = self._said(audio, frames) if ahead_s is None else self._said_within(audio, frames, ahead_s)
        word = np.clip(word, _SURE, 1 - _SURE)
        logits = torch.from_numpy(np.log(word / (1 - word)).astype(np.float32))[None]
        return composed(self._rules, logits, torch.full((1, frames, 3), _STILL))

    def _said(self, audio: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        each = LABEL_FPS // FPS
        return said(self._probe, self._encoder(audio), each * frames)[::each, :9]

    def _said_within(self, audio: NDArray[np.float32], frames: int, ahead_s: float) -> NDArray[np.float32]:
        out = np.zeros((frames, 9), np.float32)
        for frame in range(frames):
            first = max(0, frame - round(_PAST_S * FPS)) // _TOGETHER * _TOGETHER
            end = round((frame / FPS + ahead_s) * SAMPLE_RATE)
            heard = audio[first * SAMPLE_RATE // FPS : max(end, 1)]
            out[frame] = self._said(heard, frame - first + 1)[-1]
        return out
