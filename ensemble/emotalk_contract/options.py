"""Post-processing options: they travel as request parameters, and are parsed here for both sides.

A request parameter is a bool, an int, a float or a string; those that are many, such as gains, travel as one string of
JSON each: ``{"jawOpen": 1.2}``. HTTP clients may also send bools and numbers as strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from emotalk_contract.arkit import INDEX
from emotalk_contract.checking import from_json, is_number
from emotalk_contract.emotion_curve import EXAMPLE, EmotionCurve, EmotionKey, check_keys
from emotalk_contract.emotions import check_amounts
from emotalk_contract.errors import InvalidOption, UnknownBlendshape, UnknownOption
from emotalk_contract.limits import (
    DEFAULT_EMOTION_TRANSITION_S,
    DEFAULT_SEED,
    MAX_EMOTION_KEYS_CHARACTERS,
    MAX_EMOTION_STRENGTH,
    MAX_EMOTION_TRANSITION_S,
    MAX_GAIN,
    MAX_OPTION_CHARACTERS,
    MAX_SEED,
)
from emotalk_contract.quoting import quoted
from emotalk_contract.regions import check_region

Parameter = bool | int | float | str
"""The types that Triton lets a request parameter have."""

DESCRIPTIONS = {
    "smooth": "Savitzky-Golay filter over time, window 5, order 2",
    "blink": "replace `eyeBlinkLeft` and `eyeBlinkRight` by blinks drawn from `seed`",
    "clamp": "clip to 0..1, last of all",
    "raw": "none of the others: the decoder's own output",
    "seed": f"0..{MAX_SEED}; blinks are a function of (seed, absolute frame)",
    "emotions": "amount 0..1 by emotion, as a string of JSON (see below); after smoothing and blinks",
    "emotion_keys": f"emotions from moments on, as a string of JSON: `{EXAMPLE}`, seconds from the clip's start; "
    "before the first key, `emotions`; see below",
    "emotion_transition": f"seconds in which a key's emotions come, 0..{MAX_EMOTION_TRANSITION_S:g}",
    "emotion_strength": f"factor of all emotions, 0..{MAX_EMOTION_STRENGTH:g}",
    "region": 'value by name of Audio2Face\'s face parameters, such as `{"upperFaceStrength": 1.2}`, as a string of '
    "JSON; see below",
    "gains": f"factor by blendshape name, -{MAX_GAIN:g}..{MAX_GAIN:g}, as a string of JSON; after the emotions",
    "offsets": "added by blendshape name, likewise, after the gains",
}
"""The options, for people."""


@dataclass(frozen=True, slots=True)
class Options:
    """The steps from raw weights to a face; :data:`DESCRIPTIONS` says what each field does."""

    smooth: bool = True
    blink: bool = True
    clamp: bool = True
    raw: bool = False
    seed: int = DEFAULT_SEED
    emotions: Mapping[str, float] = field(default_factory=dict)
    emotion_keys: Sequence[EmotionKey] = ()
    emotion_transition: float = DEFAULT_EMOTION_TRANSITION_S
    emotion_strength: float = 1.0
    region: Mapping[str, float] = field(default_factory=dict)
    gains: Mapping[str, float] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("smooth", "blink", "clamp", "raw"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidOption(f"{name} is {quoted(getattr(self, name))}; accepted: true or false")
        seed = self.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise InvalidOption(f"seed is {quoted(seed)}; accepted: an integer in 0..{MAX_SEED}")
        for name, example in _OBJECTS.items():
            if not isinstance(getattr(self, name), Mapping):
                raise InvalidOption(f"{name} is {quoted(getattr(self, name))}; accepted: a mapping such as {example}")
        if isinstance(self.emotion_keys, str) or not isinstance(self.emotion_keys, Sequence):
            raise InvalidOption(
                f"emotion_keys is {quoted(self.emotion_keys)}; accepted: a sequence of mappings such as {EXAMPLE}"
            )
        for name, most in _NUMBERS.items():
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= most):  # NaN fails too
                raise InvalidOption(f"{name} is {quoted(value)}; accepted: 0..{most:g}")
        check_amounts("emotions", self.emotions)
        check_keys(self.emotion_keys)
        check_region(self.region)
        for name in ("gains", "offsets"):
            _check_by_name(name, getattr(self, name))

    def curve(self) -> EmotionCurve:
        """Return the emotions over time, without their strength."""
        return EmotionCurve.of(self.emotions, self.emotion_keys, self.emotion_transition)

    def restricted(self, first_frame: int, end_frame: int) -> Options:
        """Return the options that give the same emotions in the frames ``first_frame .. end_frame - 1``."""
        if not self.emotion_keys:
            return self
        curve = self.curve().restricted(first_frame, end_frame)
        return replace(self, emotions=curve.beginning, emotion_keys=curve.keys)

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> Options:
        """Return the options in request parameters.

        Raises:
            UnknownOption: a parameter that is none of the fields above.
            InvalidOption: a value of the wrong type or out of range.
            InvalidEmotionKey: a key without a time or emotions.
            UnknownBlendshape, UnknownEmotion, UnknownFaceParameter: a name that is none of those.
            EmotionOutOfRange: an amount outside 0..1.
        """
        known = {f.name for f in fields(cls)}
        for name in parameters:
            if name not in known:
                raise UnknownOption(f"unknown option {quoted(name)}; accepted: {', '.join(sorted(known))}")
        values: dict[str, Any] = {}
        for name, value in parameters.items():
            if name in _OBJECTS:
                values[name] = from_json(name, value, dict, _OBJECTS[name], MAX_OPTION_CHARACTERS)
            elif name == "emotion_keys":
                values[name] = from_json(name, value, list, EXAMPLE, MAX_EMOTION_KEYS_CHARACTERS)
            elif name in _NUMBERS:
                values[name] = _number(name, value)
            elif name == "seed":
                values[name] = _whole_number(name, value)
            else:
                values[name] = _truth(name, value)
        return cls(**values)

    def parameters(self) -> dict[str, Parameter]:
        """Return the request parameters that :meth:`parse` turns back into this: what differs from the defaults."""
        default = Options()
        out: dict[str, Parameter] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value != getattr(default, f.name):
                out[f.name] = value if isinstance(value, (bool, int, float)) else _as_json(value)
        return out


_OBJECTS = {
    "emotions": '{"joy": 0.8}',
    "region": '{"upperFaceStrength": 1.2}',
    "gains": '{"jawOpen": 1.2}',
    "offsets": '{"jawOpen": 0.1}',
}
"""The options that travel as an object of JSON, each with a value that is accepted."""
_NUMBERS = {"emotion_transition": MAX_EMOTION_TRANSITION_S, "emotion_strength": MAX_EMOTION_STRENGTH}
"""Those from 0 on, each with the largest."""


def _as_json(value: Mapping[str, float] | Sequence[EmotionKey]) -> str:
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    return json.dumps([{"time": key["time"], "emotions": dict(key["emotions"])} for key in value])


def _check_by_name(option: str, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if name not in INDEX:
            raise UnknownBlendshape(
                f"{option} names {quoted(name)}; accepted: the 52 ARKit blendshapes, such as 'jawOpen'"
            )
        if not is_number(value) or not abs(value) <= MAX_GAIN:  # NaN fails too
            raise InvalidOption(f"{option}[{name!r}] is {quoted(value)}; accepted: -{MAX_GAIN:g}..{MAX_GAIN:g}")


def _whole_number(option: str, value: object) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    elif isinstance(value, float) and value.is_integer():
        return int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InvalidOption(f"{option} is {quoted(value)}; accepted: an integer in 0..{MAX_SEED}")


def _number(option: str, value: object) -> float:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise InvalidOption(f"{option} is {quoted(value)}; accepted: 0..{_NUMBERS[option]:g}")


def _truth(option: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise InvalidOption(f"{option} is {quoted(value)}; accepted: true or false")
