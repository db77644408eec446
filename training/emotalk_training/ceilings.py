"""Ceilings: phones against the same phones, timed by an aligner that knows nothing of the first.

No model can be held to more than two alignments agree. An engine's own times are exact; of those the ceiling says how
good the second aligner is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emotalk_training.articulation import VISEME_NAMES, Phone
from emotalk_training.encoder import SpeechEncoder
from emotalk_training.metrics import Accuracy, accuracy
from emotalk_training.predict import rules
from emotalk_training.retiming import retimed
from emotalk_training.teacher import load_probe

_TINY = 1e-4


class SecondAligner:
    """A teacher that times phones.

    Args:
        probe: a file that ``emotalk-train teach`` wrote.
        cache: see :class:`~emotalk_training.encoder.SpeechEncoder`.

    Raises:
        CorpusError: the file is not such a probe.
    """

    def __init__(self, probe: Path, cache: Path) -> None:
        self._probe, share = load_probe(probe)
        self._prior = np.log(share + _TINY)
        self._encoder = SpeechEncoder(cache)

    def __call__(self, audio: NDArray[np.float32], phones: Sequence[Phone]) -> list[Phone] | None:
        """Return ``phones`` where they are heard; None where they do not fit."""
        with torch.no_grad():
            _, viseme = self._probe(torch.from_numpy(self._encoder(audio).astype(np.float32))[None])
        scores = torch.log_softmax(viseme[0], -1).numpy() - self._prior[None]
        assert scores.shape[1] == len(VISEME_NAMES)  # noqa: S101  # the probe's own width
        return retimed(phones, np.asarray(scores, np.float32))


def ceiling(
    clips: Sequence[NDArray[np.float32]], phones: Sequence[Sequence[Phone]], aligner: SecondAligner
) -> Accuracy | None:
    """Return the second alignment's face against the first's, over the clips that it can time; None: none of them."""
    truth, found = [], []
    for audio, first in zip(clips, phones, strict=True):
        second = aligner(audio, first)
        if second is not None:
            truth.append(rules(first, audio))
            found.append(rules(second, audio))
    return accuracy(truth, found) if truth else None
