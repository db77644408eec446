"""From raw weights to a face: :func:`face` has the steps and their order. Pure functions on arrays.

Theory of operation. What Audio2Face calls raw weights, of which a caller's multipliers and offsets make the final
ones, is here all that comes before the gains: speech, blinks, emotions, and the strengths, smoothing and rest pose of
regions. So a gain of 0 gives 0, whatever else is asked for. Strengths come before emotions, which look at the lips and
lids of speech as they will be seen; what emotions add has strengths of its own, for lids that an emotion lowers are not
a blink. Regions are smoothed after emotions, as Audio2Face smooths all that moves its skin; a rest pose does not move,
and comes after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import limits, regions, tensors
from emotalk_contract.arkit import INDEX
from emotalk_contract.emotions import added
from emotalk_contract.errors import InvalidShape, InvalidWindow
from emotalk_contract.options import Options
from emotalk_contract.timing import timecodes
from emotalk_ensemble.blinks import blink_weights
from emotalk_ensemble.regions import at_rest_pose, low_passed
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
    """Return ``raw`` [F, 52] with ``options`` applied, in this order.

    1. ``smooth``
    2. ``blink``
    3. ``region``: the strengths of speech and blinks
    4. ``emotions``, ``emotion_keys``, with ``emotion_strength``, and ``region``'s strengths of them
    5. ``region``: smoothing, then the rest pose of lids and lips
    6. ``gains``, ``offsets``, ``clamp``

    ``first_frame`` is the absolute frame of the first row. Smoothing takes the array's ends for the clip's, so of a
    window's frames those within :data:`~emotalk_ensemble.smoothing.REACH` of a cut are only final in the next window,
    and those of its beginning that a region's filter reaches from there were final in the one before.
    """
    if options.raw:
        return raw
    region = options.region
    weights = smoothed(raw) if options.smooth else raw.copy()
    if options.blink:
        weights[:, _LIDS] = blink_weights(options.seed, first_frame, len(weights))[:, None]
    if region:
        weights *= regions.speech_strengths(region)
    if options.emotions or options.emotion_keys:
        amounts = options.curve().at(first_frame, len(weights) if options.emotion_keys else 1)
        strengths = regions.emotion_strengths(region) if region else None
        weights = added(weights, amounts * options.emotion_strength, strengths)
    if region:
        weights = at_rest_pose(low_passed(weights, region), region)
    for name, gain in options.gains.items():
        weights[:, INDEX[name]] *= gain
    for name, offset in options.offsets.items():
        weights[:, INDEX[name]] += offset
    return np.clip(weights, 0.0, 1.0, out=weights) if options.clamp else weights
