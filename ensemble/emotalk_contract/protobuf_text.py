"""Protocol buffers' text format, written: just what ``config.pbtxt`` needs.

The full library would have to be imported by everything that reads the contract; a test parses every generated file
with it instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | bool | int | float | Mapping[str, Value] | Sequence[Value]"


class Enum(str):
    """A value written without quotes."""


def dumps(message: Mapping[str, Value]) -> str:
    """Text of ``message``; a list repeats its field, a mapping is a sub-message."""
    return "\n".join(_lines(message, "")) + "\n"


def _lines(message: Mapping[str, Value], indent: str) -> Iterator[str]:
    for name, value in message.items():
        repeated = isinstance(value, Sequence) and not isinstance(value, str)
        for item in value if repeated else [value]:  # type: ignore[union-attr]  # a sequence, then
            if isinstance(item, Mapping):
                yield f"{indent}{name} {{"
                yield from _lines(item, indent + "  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_scalar(item)}"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str.__str__(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return repr(value)
