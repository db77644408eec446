"""What a caller may ask for, from the texts of a form or the values of JSON.

Rule that this module guards: **a caller names values, never files.** What the client takes as a path stays out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from emotalk_client.live.settings import LiveOptions, LiveSettings
from emotalk_client.settings import AnimateOptions, Settings
from emotalk_ensemble.contract import limits
from emotalk_ensemble.contract.errors import InvalidOption, InvalidRequest, LevelOutOfRange, PersonOutOfRange, UnknownOption
from emotalk_ensemble.contract.options import DESCRIPTIONS, Options

FACE_OPTIONS = {
    "level": f"emotion level 0..1; default {limits.DEFAULT_LEVEL:g}",
    "person": f"speaking style 0..{limits.PERSONS - 1}; default {limits.DEFAULT_PERSON}",
    **DESCRIPTIONS,
}
"""Of every face, with what they mean."""
_PACE = LiveSettings()
LIVE_OPTIONS = {
    **FACE_OPTIONS,
    "hop": f"seconds between two windows; default {_PACE.hop:.3g}",
    "context": "seconds of the past in each window; default: what the model needs",
    "look_ahead": "seconds of the future that a frame waits for; default: what the model needs",
    "min_fps": f"frames per second down to which the rate may fall while the server is late; default {_PACE.min_fps:g}",
}
"""Of a live stream, likewise."""


def animate_options(given: Mapping[str, Any]) -> AnimateOptions:
    """Keywords of ``animate`` from a form's texts.

    Raises:
        InvalidRequest: its subclass says what is unknown or out of range.
    """
    options: AnimateOptions = _face(given, FACE_OPTIONS)  # type: ignore[assignment]  # named as its keys are
    Settings(**options)
    return options


def live_options(given: Mapping[str, Any]) -> LiveOptions:
    """Keywords of ``live`` from the values of JSON; errors as of :func:`animate_options`."""
    own = [name for name in LIVE_OPTIONS if name not in FACE_OPTIONS]
    options = _face({name: value for name, value in given.items() if name not in own}, LIVE_OPTIONS)
    options |= {name: _number(name, given[name], InvalidOption, "a number") for name in own if name in given}
    LiveSettings(**options)
    return options  # type: ignore[return-value]  # named as its keys are


def _face(given: Mapping[str, Any], accepted: Mapping[str, str]) -> dict[str, Any]:
    for name in given:
        if name not in accepted:
            raise UnknownOption(f"unknown option {name!r}; accepted: {', '.join(sorted(accepted))}")
    options: dict[str, Any] = {}
    if "level" in given:
        options["level"] = _number("level", given["level"], LevelOutOfRange, "0..1")
    if "person" in given:
        person = _number("person", given["person"], PersonOutOfRange, f"0..{limits.PERSONS - 1}")
        options["person"] = int(person) if person.is_integer() else person
    parsed = Options.parse({name: value for name, value in given.items() if name in DESCRIPTIONS})
    return options | {f.name: getattr(parsed, f.name) for f in fields(Options)}


def _number(name: str, value: object, error: type[InvalidRequest], accepted: str) -> float:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    raise error(f"{name} is {value!r}; accepted: {accepted}")
