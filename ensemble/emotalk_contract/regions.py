"""Regions of the face: the parameters of Audio2Face's ``face_params``, and what they do to the 52 weights.

Rule that this module guards: **a parameter that is not given changes nothing.** Audio2Face's own defaults fit its own
networks; here each parameter's default leaves the weights as they are.

Theory of operation. Audio2Face moves a mesh, whose upper and lower part have strengths and smoothings of their own and
meet at a height, ``faceMaskLevel``, as softly as ``faceMaskSoftness`` says. Blendshapes have no place by themselves, so
each has one here, :data:`HEIGHT`: the centre of what it moves on the head that the client carries (the mean height of
the vertices, weighted by how far they move), 0 at the lowest vertex that any shape moves by a millimetre and 1 at the
highest. A shape at height h belongs to the upper face by ``smoothstep((h - level) / (2 softness) + 1/2)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emotalk_contract.checking import is_finite
from emotalk_contract.errors import InvalidOption, UnknownFaceParameter
from emotalk_contract.quoting import quoted


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
