"""Values of options: their types, and their JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from emotalk_contract.errors import InvalidOption
from emotalk_contract.quoting import quoted

Kind = TypeVar("Kind", dict[str, float], list[Mapping[str, Any]])


def is_number(value: object) -> bool:
    """True for an int or a float; a bool is not one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """True for a number that a double can hold; NaN, infinities and integers of hundreds of digits are not."""
    if not (isinstance(value, (int, float)) and is_number(value)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def from_json(option: str, value: object, kind: type[Kind], example: str, most_characters: int) -> Kind:
    """Return ``value``, or what it is in JSON where it is a string; it is a ``kind`` (dict or list).

    Raises:
        InvalidOption: it is too long, not JSON, or of another type.
    """
    if isinstance(value, str):
        if len(value) > most_characters:
            raise InvalidOption(f"{option} has {len(value)} characters; accepted: at most {most_characters}")
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise InvalidOption(f"{option} is {quoted(value)}, which is not JSON; accepted: {example}") from None
    if not isinstance(value, kind):
        name = "list" if kind is list else "object"
        raise InvalidOption(f"{option} is {quoted(value)}; accepted: a JSON {name} such as {example}")
    return value
