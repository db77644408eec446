"""The emotion that a served model hears in speech: out of an answer, and over a clip. No I/O.

A request's emotion is over all of its frames. A clip of several windows has their mean, each weighted by the frames
that it adds to the clip: ``p = sum_w frames_w p_w / sum_w frames_w``. A clip of one window has the network's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import UnexpectedResponse
from emotalk_contract import tensors

Emotions = Mapping[str, float]
"""Probability of each emotion by name, in the network's order; their sum is 1."""
TOLERANCE = 1e-2
"""Of that sum: half precision rounds."""


def emotions_in(outputs: Mapping[str, Any], names: Sequence[str]) -> Emotions | None:
    """Return the emotion in the answer ``outputs`` of a model that detects ``names``; None where that is none.

    Raises:
        UnexpectedResponse: it is missing, or they are not probabilities of so many.
    """
    if not names:
        return None
    found = outputs.get(tensors.EMOTIONS.name)
    if found is None:
        raise UnexpectedResponse(f"{tensors.EMOTIONS.name} is missing; expected a probability for each of {len(names)}")
    if found.shape != (1, len(names)):
        raise UnexpectedResponse(f"EMOTIONS has shape {list(found.shape)}; expected {[1, len(names)]}")
    if not ((found >= 0).all() and abs(float(found.sum()) - 1) <= TOLERANCE):  # NaN fails too
        raise UnexpectedResponse(f"EMOTIONS are {found[0].tolist()}; expected probabilities, whose sum is 1")
    return dict(zip(names, found[0].astype(float).tolist(), strict=True))


class ClipEmotions:
    """The emotion of a clip, from its parts as they come."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._frames = 0

    def push(self, emotions: Emotions | None, frames: int) -> None:
        """Take in the emotion of a part that adds ``frames`` frames to the clip."""
        if emotions is None or not frames:
            return
        if not self._frames:
            self._names, self._sum = tuple(emotions), np.zeros(len(emotions))
        self._sum += frames * np.array(list(emotions.values()))
        self._frames += frames

    @property
    def value(self) -> Emotions | None:
        """The emotion of all that came so far; None where none did."""
        if not self._frames:
            return None
        return dict(zip(self._names, (self._sum / self._frames).tolist(), strict=True))
