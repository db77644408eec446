"""Crispness of closures: a gain and a bias on the logit of the lips' closure (labiodental contact stays as trained).

Trained probabilities are averages where the network is unsure: true on average, soft to look at, and low peaks fall
under the height at which lips count as closed. The gain and bias are chosen on held-back training voices, half of the
clips as they are and half over a random line and in noise (unfamiliar recordings make the network less sure), for the
best sum of correlation and the lesser of recall and precision: a closure missed is worth no less than one too many.
Faces are smoothed first, as those that callers get are: it takes the tops off short closures.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.signal import savgol_filter

from emotalk_contract.live_steps import SMOOTHED_ROWS
from emotalk_training import augment
from emotalk_training.checkpoints import read_checkpoint
from emotalk_training.corpus import CorpusError
from emotalk_training.metrics import Weights, accuracy
from emotalk_training.predict import Validation, activities, composed
from emotalk_training.readers import VALIDATION_VOICES

GAINS = (1.0, 1.2, 1.4)
BIASES = (-0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SNR_DB = 10.0
"""Of the disturbed half of the clips."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice, and its scores on the validation voices."""

    gain: float
    bias: float
    press: float
    recall: float
    precision: float


def calibrate(checkpoint: Path, folder: Path) -> Choice:
    """Choose, and write the choice into the checkpoint file.

    Raises:
        CorpusError: the corpora have none of the held-back voices.
        CheckpointError: the file is not a bundled face model's; see :func:`read_checkpoint`.
    """
    validation = Validation.load(folder)
    if not validation.clips:
        raise CorpusError(
            f"the corpora have no voice that is held back for choices; accepted: {', '.join(sorted(VALIDATION_VOICES))}"
        )
    stored, model = read_checkpoint(checkpoint)
    rng = np.random.default_rng(5)
    rough = []
    for clip in validation.clips:
        line = augment.channel(clip, rng)
        level = augment.rms(line) * 10 ** (-SNR_DB / 20)
        rough.append((line + augment.noise(len(line), rng) * np.float32(level)).astype(np.float32))
    heard = [activities(model, c) for c in [*validation.clips, *rough]]
    best: tuple[float, Choice] | None = None
    for gain, bias in itertools.product(GAINS, BIASES):
        model.decoder.contact_gain[0] = gain
        model.decoder.contact_bias[0] = bias
        found = [_smoothed(composed(model, mouth, upper)) for mouth, upper in heard]
        a = accuracy([*validation.truth, *validation.truth], found)
        choice = Choice(gain, bias, a.correlation["mouthPressLeft"], a.recall, a.precision)
        merit = choice.press + min(choice.recall, choice.precision)
        if best is None or merit > best[0]:
            best = (merit, choice)
    if best is None:
        raise ValueError("no gains or biases to choose from")
    chosen = best[1]
    state = stored["state_dict"]
    state["transformer_decoder.contact_gain"][0] = chosen.gain
    state["transformer_decoder.contact_bias"][0] = chosen.bias
    stored["provenance"]["calibration"] = {"gain": chosen.gain, "bias": chosen.bias}
    partial = checkpoint.with_suffix(".partial")
    torch.save(stored, partial)
    partial.replace(checkpoint)
    return chosen


def _smoothed(weights: Weights) -> Weights:
    """A parabola through five frames, as the served model's postprocess has it."""
    if len(weights) < SMOOTHED_ROWS:
        return weights
    return np.asarray(savgol_filter(weights, SMOOTHED_ROWS, 2, axis=0, mode="interp"), np.float32)
