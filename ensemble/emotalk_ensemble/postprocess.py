"""From raw weights to a face: smoothing, blinks, emotions, gains and offsets, clamp. Pure functions on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import limits, tensors
from emotalk_contract.arkit import INDEX
from emotalk_contract.emotions import added
from emotalk_contract.errors import InvalidShape, InvalidWindow
from emotalk_contract.options import Options
from emotalk_contract.timing import timecodes
from emotalk_ensemble.blinks import blink_weights
from emotalk_ensemble.smoothing import smoothed

_LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]


def postprocess(inputs: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the outputs of ``emotalk_postprocess`` for one request: RAW_BLENDSHAPES [B, F, 52], START_FRAME [B, 1].

    Raises:
        InvalidShape: more frames than a request may have.
        InvalidWindow: a first frame that no clip has.
        InvalidRequest: a post-processing option does not exist or has a wrong value.
    """
    options = Options.parse(parameters)
    raw = inputs[tensors.RAW_BLENDSHAPES.name]
    start = inputs.get(tensors.START_FRAME.name)
    starts = [0] * len(raw) if start is None else [int(frame) for frame in start[:, 0]]
    frames = raw.shape[1]
    if frames > limits.MAX_FRAMES:
        raise InvalidShape(f"{tensors.RAW_BLENDSHAPES.name} has {frames} frames; accepted: at most {limits.MAX_FRAMES}")
    for first in starts:
        if not 0 <= first <= limits.MAX_START_FRAME:
            raise InvalidWindow(f"START_FRAME is {first}; accepted: 0..{limits.MAX_START_FRAME}")
    return {
        tensors.BLENDSHAPES.name: np.stack(
            [face(weights, first, options) for weights, first in zip(raw, starts, strict=True)]
        ),
        tensors.TIMECODES.name: np.stack([timecodes(first, frames) for first in starts]),
    }


def face(raw: NDArray[np.float32], first_frame: int, options: Options) -> NDArray[np.float32]:
    """Return ``raw`` [F, 52] with ``options`` applied, in their order: smooth, blink, emotions, gains, offsets, clamp.

    ``first_frame`` is the absolute frame of the first row. Smoothing takes the array's ends for the clip's, so of a
    window's frames those within :data:`~emotalk_ensemble.smoothing.REACH` of a cut are only final in the next window.
    """
    if options.raw:
        return raw
    weights = smoothed(raw) if options.smooth else raw.copy()
    if options.blink:
        weights[:, _LIDS] = blink_weights(options.seed, first_frame, len(weights))[:, None]
    if options.emotions:
        weights = added(weights, options.emotions)
    for name, gain in options.gains.items():
        weights[:, INDEX[name]] *= gain
    for name, offset in options.offsets.items():
        weights[:, INDEX[name]] += offset
    return np.clip(weights, 0.0, 1.0, out=weights) if options.clamp else weights
