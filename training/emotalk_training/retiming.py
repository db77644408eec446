"""The second aligner: the phones of an utterance, timed anew by a teacher that hears visemes.

Two alignments that know nothing of each other say how sure the times of a truth are: no model can be held to more than
they agree (:mod:`emotalk_training.ceilings`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emotalk_training.articulation import VISEME_NAMES, Phone, visemes

STEP_S = 0.02
"""Of the encoder."""
_SILENCE = VISEME_NAMES.index("sil")
_NEVER = -1e9


def retimed(phones: Sequence[Phone], scores: NDArray[np.float32]) -> list[Phone] | None:
    """Return ``phones`` in their order, at the times where ``scores`` hear them; None where they do not fit.

    The best path (Viterbi) through one state for each viseme, in which pauses may be left out.

    Args:
        scores: [T, 27] logarithms of the probability of each viseme over its share of speech, at 50 Hz.
    """
    states, owner = [], []
    for number, phone in enumerate(phones):
        for viseme in visemes([phone]):
            states.append(VISEME_NAMES.index(viseme.symbol))
            owner.append(number)
    if not states or len(scores) < len(states):
        return None
    path = _best(np.array(states), scores)
    if path is None:
        return None
    out: list[Phone] = []
    of_step = np.array(owner)[path]
    for number, phone in enumerate(phones):
        where = np.flatnonzero(of_step == number)
        if len(where):
            out.append(Phone(phone.symbol, float(where[0] - 0.5) * STEP_S, float(where[-1] + 0.5) * STEP_S))
        elif visemes([phone]) and visemes([phone])[0].symbol != "sil":
            return None
    return [Phone(p.symbol, max(0.0, p.start), p.end) for p in out]


def _best(states: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64] | None:
    """Return the state of each step on the best path; pauses at its ends may be left out."""
    count, steps = len(states), len(scores)
    emitted = scores[:, states].astype(np.float64)
    skips = np.zeros(count, bool)
    skips[2:] = states[1:-1] == _SILENCE
    total = np.full(count, _NEVER)
    total[0] = emitted[0, 0]
    if states[0] == _SILENCE and count > 1:
        total[1] = emitted[0, 1]
    came = np.zeros((steps, count), np.int8)
    for step in range(1, steps):
        one = np.concatenate([[_NEVER], total[:-1]])
        two = np.concatenate([[_NEVER, _NEVER], total[:-2]])
        two[~skips] = _NEVER
        choices = np.stack([total, one, two])
        came[step] = choices.argmax(0)
        total = choices.max(0) + emitted[step]
    last = count - 1
    if states[-1] == _SILENCE and count > 1 and total[-2] > total[-1]:
        last = count - 2
    if total[last] < _NEVER / 2:
        return None
    path = np.zeros(steps, np.int64)
    for step in range(steps - 1, -1, -1):
        path[step] = last
        last -= int(came[step, last])
    return path
