"""Regions of the face: the parameters of Audio2Face's ``face_params``, and what they do to the 52 weights.

Rule that this module guards: **a parameter that is not given changes nothing.** Audio2Face's own defaults fit its own
networks; here each parameter's default leaves the weights as they are.

Theory of operation. Audio2Face moves a mesh, whose upper and lower part have strengths and smoothings of their own and
meet at a height, ``faceMaskLevel``, as softly as ``faceMaskSoftness`` says. Blendshapes have no place by themselves, so
each has one here, :data:`HEIGHT`: the centre of what it moves on the head that the client carries (the mean height of
the vertices, weighted by how far they move), 0 at the lowest vertex that any shape moves by a millimetre and 1 at the
highest. A shape at height h belongs to the upper face by ``smoothstep((h - level) / (2 softness) + 1/2)``.

Smoothing is a one-pole low-pass filter, ``y[f] = sum_k w[k] x[f - k]`` with ``w[k]`` as ``exp(-k / (30 tau))``: it
looks back only, so nothing waits for it. Its kernel ends after 8 time constants (a 3000th is left), so that a window
with so much of the past gives what the whole clip gives; before a clip's first frame that one is held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT, BLENDSHAPES, INDEX
from emotalk_contract.checking import is_finite
from emotalk_contract.errors import InvalidOption, UnknownFaceParameter
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import FPS


@dataclass(frozen=True, slots=True)
class FaceParameter:
    """One of ``face_params``."""

    least: float
    most: float
    """The range that acts: what lies outside counts as its nearer end, for callers send such values."""
    default: float
    """Of one that is not given: changes nothing."""
    meaning: str
    """For people; empty: without a meaning here."""


FACE_PARAMETERS = {
    "skinStrength": FaceParameter(0, 2, 1, "factor of all but lids, gaze and tongue"),
    "upperFaceStrength": FaceParameter(0, 2, 1, "factor of the upper face, likewise"),
    "lowerFaceStrength": FaceParameter(0, 2, 1, "factor of the lower face, likewise"),
    "upperFaceSmoothing": FaceParameter(0, 0.1, 0, "time constant in seconds of the upper face's low-pass filter"),
    "lowerFaceSmoothing": FaceParameter(0, 0.1, 0, "the lower face's, likewise"),
    "faceMaskLevel": FaceParameter(0, 1, 0.6, "height at which lower and upper face meet; at 0.6, above the cheeks"),
    "faceMaskSoftness": FaceParameter(0.001, 0.5, 0.0085, "half the height over which one passes into the other"),
    "eyelidOpenOffset": FaceParameter(-1, 1, 0, "to -1: the lids shut; to 1: `eyeWide`, but not in a blink"),
    "lipOpenOffset": FaceParameter(-0.2, 0.2, 0, "parts the lips, 8.8 mm a unit; below 0: closes open lips"),
    "tongueStrength": FaceParameter(0, 3, 1, "factor of `tongueOut`"),
    "tongueHeightOffset": FaceParameter(-3, 3, 0, ""),
    "tongueDepthOffset": FaceParameter(-3, 3, 0, ""),
    "blinkStrength": FaceParameter(0, 2, 1, "factor of `eyeBlink`, before emotions shut lids"),
    "blinkOffset": FaceParameter(-1, 1, 0, ""),
    "inputStrength": FaceParameter(0, 2, 1, ""),
}
"""By name, in Audio2Face's order. The last two it does not document."""


def check_region(values: Mapping[str, float]) -> None:
    """Check the option ``region``: parameter to value.

    Raises:
        UnknownFaceParameter: a name that is none of :data:`FACE_PARAMETERS`.
        InvalidOption: a value that is not a finite number.
    """
    for name, value in values.items():
        if name not in FACE_PARAMETERS:
            raise UnknownFaceParameter(f"region names {quoted(name)}; accepted: {', '.join(FACE_PARAMETERS)}")
        if not is_finite(value):
            raise InvalidOption(f"region[{name!r}] is {quoted(value)}; accepted: a finite number")


def acting(values: Mapping[str, float], name: str) -> float:
    """Return the value of the parameter ``name`` that acts: given, within its range, or its default."""
    parameter = FACE_PARAMETERS[name]
    return float(min(max(values.get(name, parameter.default), parameter.least), parameter.most))


HEIGHT = {
    "browDownLeft": 0.816, "browDownRight": 0.816, "browInnerUp": 0.812, "browOuterUpLeft": 0.804,
    "browOuterUpRight": 0.804, "cheekPuff": 0.420, "cheekSquintLeft": 0.581, "cheekSquintRight": 0.581,
    "eyeBlinkLeft": 0.730, "eyeBlinkRight": 0.730, "eyeLookDownLeft": 0.724, "eyeLookDownRight": 0.724,
    "eyeLookInLeft": 0.725, "eyeLookInRight": 0.725, "eyeLookOutLeft": 0.725, "eyeLookOutRight": 0.725,
    "eyeLookUpLeft": 0.722, "eyeLookUpRight": 0.722, "eyeSquintLeft": 0.679, "eyeSquintRight": 0.679,
    "eyeWideLeft": 0.736, "eyeWideRight": 0.736, "jawForward": 0.315, "jawLeft": 0.318, "jawOpen": 0.320,
    "jawRight": 0.318, "mouthClose": 0.375, "mouthDimpleLeft": 0.384, "mouthDimpleRight": 0.384,
    "mouthFrownLeft": 0.393, "mouthFrownRight": 0.393, "mouthFunnel": 0.407, "mouthLeft": 0.396,
    "mouthLowerDownLeft": 0.323, "mouthLowerDownRight": 0.323, "mouthPressLeft": 0.382, "mouthPressRight": 0.382,
    "mouthPucker": 0.392, "mouthRight": 0.396, "mouthRollLower": 0.314, "mouthRollUpper": 0.428,
    "mouthShrugLower": 0.336, "mouthShrugUpper": 0.430, "mouthSmileLeft": 0.401, "mouthSmileRight": 0.401,
    "mouthStretchLeft": 0.399, "mouthStretchRight": 0.400, "mouthUpperUpLeft": 0.429, "mouthUpperUpRight": 0.429,
    "noseSneerLeft": 0.669, "noseSneerRight": 0.669, "tongueOut": 0.305,
}  # fmt: skip
"""Blendshape to its height in the face, 0..1; a test measures them again on the client's head."""
LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
TONGUE = INDEX["tongueOut"]
GAZE = [column for name, column in INDEX.items() if name.startswith("eyeLook")]
_TIME_CONSTANTS = 8
"""Of the filter, that its kernel is long."""


def upper_share(region: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the share of the upper face in each blendshape, [52], 0..1; the rest is the lower face's."""
    heights = np.array([HEIGHT[name] for name in BLENDSHAPES])
    reach = 2 * acting(region, "faceMaskSoftness")
    place = np.clip((heights - acting(region, "faceMaskLevel")) / reach + 0.5, 0, 1)
    share: NDArray[np.float64] = place * place * (3 - 2 * place)
    return share


def emotion_strengths(region: Mapping[str, float]) -> NDArray[np.float32]:
    """Return the factors of what emotions add, [52]: of skin, of which lids are a part here, and of the tongue."""
    upper = upper_share(region)
    factors = upper * acting(region, "upperFaceStrength") + (1 - upper) * acting(region, "lowerFaceStrength")
    factors *= acting(region, "skinStrength")
    factors[GAZE] = 1
    factors[TONGUE] = acting(region, "tongueStrength")
    return factors.astype(np.float32)


def speech_strengths(region: Mapping[str, float]) -> NDArray[np.float32]:
    """Return the factors of a speaking face, [52]: the same, but lids have ``blinkStrength``."""
    factors = emotion_strengths(region)
    factors[LIDS] = acting(region, "blinkStrength")
    return factors


def reach(region: Mapping[str, float]) -> int:
    """Return the frames that smoothing looks back, 0 to :data:`MOST_REACH`."""
    return max(_reach(acting(region, name)) for name in ("upperFaceSmoothing", "lowerFaceSmoothing"))


def kernels(region: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the filter of each blendshape, [reach + 1, 52]: row k weighs the frame k before; columns sum to 1.

    Lids, gaze and tongue are not smoothed: a blink would not be one.
    """
    length = reach(region) + 1
    upper = upper_share(region)
    out = np.zeros((length, BLENDSHAPE_COUNT))
    for share, name in ((upper, "upperFaceSmoothing"), (1 - upper, "lowerFaceSmoothing")):
        out += _kernel(acting(region, name), length)[:, None] * share
    out[:, [*LIDS, *GAZE, TONGUE]] = 0
    out[0, [*LIDS, *GAZE, TONGUE]] = 1
    return out


def _reach(time_constant_s: float) -> int:
    return math.ceil(_TIME_CONSTANTS * time_constant_s * FPS - 1e-9)


MOST_REACH = _reach(FACE_PARAMETERS["upperFaceSmoothing"].most)
"""Frames."""


def _kernel(time_constant_s: float, length: int) -> NDArray[np.float64]:
    weights = np.zeros(length)
    weights[0] = 1
    back = np.arange(1, _reach(time_constant_s) + 1)  # none, where the time constant is next to nothing
    if len(back):
        weights[back] = np.exp(-back / (FPS * time_constant_s))
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised
