"""Post-processing options: they travel as request parameters, and are parsed here for both sides.

A request parameter is a bool, an int, a float or a string; emotions, gains and offsets, which are many, travel as one
string of JSON each: ``{"jawOpen": 1.2}``. HTTP clients may also send bools and numbers as strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from emotalk_contract.arkit import INDEX
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.errors import (
    EmotionOutOfRange,
    InvalidOption,
    UnknownBlendshape,
    UnknownEmotion,
    UnknownOption,
)
from emotalk_contract.limits import DEFAULT_SEED, MAX_GAIN, MAX_OPTION_CHARACTERS, MAX_SEED
from emotalk_contract.quoting import quoted

Parameter = bool | int | float | str
"""The types that Triton lets a request parameter have."""

DESCRIPTIONS = {
    "smooth": "Savitzky-Golay filter over time, window 5, order 2",
    "blink": "replace `eyeBlinkLeft` and `eyeBlinkRight` by blinks drawn from `seed`",
    "clamp": "clip to 0..1, last of all",
    "raw": "none of the others: the decoder's own output",
    "seed": f"0..{MAX_SEED}; blinks are a function of (seed, absolute frame)",
    "emotions": "amount 0..1 by emotion, as a string of JSON (see below); after smoothing and blinks",
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
    gains: Mapping[str, float] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("smooth", "blink", "clamp", "raw"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidOption(f"{name} is {quoted(getattr(self, name))}; accepted: true or false")
        seed = self.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise InvalidOption(f"seed is {quoted(seed)}; accepted: an integer in 0..{MAX_SEED}")
        for name in _EXAMPLES:
            if not isinstance(getattr(self, name), Mapping):
                raise InvalidOption(
                    f"{name} is {quoted(getattr(self, name))}; accepted: a mapping such as {_EXAMPLES[name]}"
                )
        _check_emotions(self.emotions)
        for name in ("gains", "offsets"):
            _check_by_name(name, getattr(self, name))

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> Options:
        """Return the options in request parameters.

        Raises:
            UnknownOption: a parameter that is none of the fields above.
            InvalidOption: a value of the wrong type or out of range.
            UnknownBlendshape: a gain or an offset for none of the 52 names.
            UnknownEmotion: a name that is none of the ten.
            EmotionOutOfRange: an amount outside 0..1.
        """
        known = {f.name for f in fields(cls)}
        for name in parameters:
            if name not in known:
                raise UnknownOption(f"unknown option {quoted(name)}; accepted: {', '.join(sorted(known))}")
        values: dict[str, Any] = {}
        for name, value in parameters.items():
            if name in _EXAMPLES:
                values[name] = _json_object(name, value)
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
                out[f.name] = json.dumps(dict(value)) if isinstance(value, Mapping) else value
        return out


_EXAMPLES = {"emotions": '{"joy": 0.8}', "gains": '{"jawOpen": 1.2}', "offsets": '{"jawOpen": 0.1}'}
"""The options that travel as JSON, each with a value that is accepted."""


def _check_emotions(amounts: Mapping[str, float]) -> None:
    for name, amount in amounts.items():
        if name not in EMOTIONS:
            raise UnknownEmotion(f"emotions names {quoted(name)}; accepted: {', '.join(EMOTIONS)}")
        if not _is_number(amount) or not 0 <= amount <= 1:  # NaN fails too
            raise EmotionOutOfRange(f"emotions[{name!r}] is {quoted(amount)}; accepted: 0..1")


def _check_by_name(option: str, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if name not in INDEX:
            raise UnknownBlendshape(
                f"{option} names {quoted(name)}; accepted: the 52 ARKit blendshapes, such as 'jawOpen'"
            )
        if not _is_number(value) or not abs(value) <= MAX_GAIN:  # NaN fails too
            raise InvalidOption(f"{option}[{name!r}] is {quoted(value)}; accepted: -{MAX_GAIN:g}..{MAX_GAIN:g}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _json_object(option: str, value: object) -> dict[str, float]:
    if isinstance(value, str):
        if len(value) > MAX_OPTION_CHARACTERS:
            raise InvalidOption(f"{option} has {len(value)} characters; accepted: at most {MAX_OPTION_CHARACTERS}")
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise InvalidOption(
                f"{option} is {quoted(value)}, which is not JSON; accepted: {_EXAMPLES[option]}"
            ) from None
    if not isinstance(value, dict):
        raise InvalidOption(f"{option} is {quoted(value)}; accepted: a JSON object such as {_EXAMPLES[option]}")
    return value


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


def _truth(option: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise InvalidOption(f"{option} is {quoted(value)}; accepted: true or false")
