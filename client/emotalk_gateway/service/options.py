"""A caller's options, from the texts of a form or the values of JSON.

Rule that this module guards: **a caller names values, never files.** What the client takes as a path stays out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from emotalk_client.live.settings import LiveOptions, LiveSettings
from emotalk_client.settings import AnimateOptions, Settings
from emotalk_contract import limits
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.errors import (
    EmotionOutOfRange,
    InvalidOption,
    InvalidRequest,
    InvalidWindow,
    LevelOutOfRange,
    PersonOutOfRange,
    UnknownOption,
)
from emotalk_contract.options import DESCRIPTIONS, Options

FACE_OPTIONS = {
    "level": f"emotion level 0..1; default {limits.DEFAULT_LEVEL:g}",
    "person": f"speaking style, as many as the served model has; default {limits.DEFAULT_PERSON}",
    **DESCRIPTIONS,
    **dict.fromkeys(EMOTIONS, "amount 0..1 of this emotion, instead of one in `emotions`"),
}
"""Of every face, with what they mean."""
CLIP_OPTIONS = {
    **FACE_OPTIONS,
    "window": "seconds of one window; default: what the model needs",
    "overlap": "seconds that neighbouring windows share; default: what the model needs",
}
"""Of an upload, likewise."""
_PACE = LiveSettings()
LIVE_OPTIONS = {
    **FACE_OPTIONS,
    "hop": f"seconds between two requests; default {_PACE.hop:.3g}",
    "context": "seconds of the past in each window; default: what the model needs",
    "look_ahead": "seconds of the future that a frame waits for; default: what the model needs",
    "prompt": "frames 33 ms sooner, off by up to 0.03; default: where hop is longer than two frames",
    "min_fps": f"frames per second down to which the rate may fall while the server is late; default {_PACE.min_fps:g}",
}
"""Of a live stream, likewise."""


def animate_options(given: Mapping[str, Any]) -> AnimateOptions:
    """Keywords of ``animate`` from a form's texts.

    Raises:
        InvalidRequest: its subclass says what is unknown or out of range.
    """
    options = _options(given, CLIP_OPTIONS, InvalidWindow)
    Settings(**options)
    return options  # type: ignore[return-value]  # named as its keys are


def live_options(given: Mapping[str, Any]) -> LiveOptions:
    """Keywords of ``live`` from the values of JSON; errors as of :func:`animate_options`."""
    options = _options({name: value for name, value in given.items() if name != "prompt"}, LIVE_OPTIONS, InvalidOption)
    options |= {name: value for name, value in given.items() if name == "prompt"}
    LiveSettings(**options)
    return options  # type: ignore[return-value]  # named as its keys are


def _options(given: Mapping[str, Any], accepted: Mapping[str, str], wrong: type[InvalidRequest]) -> dict[str, Any]:
    """Keywords from ``given``; those beyond a face's own are numbers, and ``wrong`` where they are none."""
    for name in given:
        if name not in accepted:
            raise UnknownOption(f"unknown option {name!r}; accepted: {', '.join(sorted(accepted))}")
    options: dict[str, Any] = {}
    if "level" in given:
        options["level"] = _number("level", given["level"], LevelOutOfRange, "0..1")
    if "person" in given:
        person = _number("person", given["person"], PersonOutOfRange, "the number of a speaking style")
        options["person"] = int(person) if person.is_integer() else person
    parsed = Options.parse({name: value for name, value in given.items() if name in DESCRIPTIONS})
    options |= {f.name: getattr(parsed, f.name) for f in fields(Options)}
    alone = {name: _number(name, given[name], EmotionOutOfRange, "0..1") for name in EMOTIONS if name in given}
    options["emotions"] = {**parsed.emotions, **alone}
    own = [name for name in given if name not in FACE_OPTIONS]
    return options | {name: _number(name, given[name], wrong, "a number") for name in own}


def _number(name: str, value: object, error: type[InvalidRequest], accepted: str) -> float:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise error(f"{name} is {value!r}; accepted: {accepted}")
