"""Faults in a file, told by row and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHOWN = 60
"""Characters of a value that a message shows."""


class Fault(Exception):
    """Content that a format cannot have; the message says where, what, and what is accepted."""


def shortened(value: object) -> str:
    """Return ``value`` as a message shows it: at most :data:`SHOWN` characters, quoted if it is text."""
    if isinstance(value, str | bytes):
        text = repr(value[: SHOWN + 1])
    elif isinstance(value, list | dict):
        text = f"a {type(value).__name__} of {len(value)}"
    else:
        try:
            text = repr(value)
        except ValueError:  # an integer of thousands of digits
            text = f"a huge {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def matrix(rows: Sequence[Any], names: Sequence[str], what: str = "row") -> NDArray[np.float32]:
    """Return ``rows``, a finite number for each of ``names``, as [F, len(names)]; raise :class:`Fault` for another."""
    width = len(names)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list | tuple):
            raise Fault(f"{what} {number} is {shortened(row)}; accepted: a list of {width} numbers")
        if len(row) != width:
            raise Fault(f"{what} {number} has {len(row)} weights; accepted: {width}")
    out = np.empty((len(rows), width), np.float32)
    with np.errstate(over="ignore"):  # what overflows is infinite, which is refused below
        for i, row in enumerate(rows):
            try:
                out[i] = row
            except (TypeError, ValueError, OverflowError) as error:
                raise _not_a_number(what, i, row, names) from error
    check_finite(out, names, what)
    return out


def check_finite(weights: NDArray[Any], names: Sequence[str], what: str = "row", first: int = 1) -> None:
    """Raise :class:`Fault` if one of ``weights`` [F, len(names)] is not finite."""
    if not np.isfinite(weights).all():
        row, column = np.argwhere(~np.isfinite(weights))[0]
        raise Fault(
            f"{what} {row + first}, column {shortened(names[column])} is {weights[row, column]}; "
            "accepted: a finite number"
        )


def check_ascending(seconds: NDArray[np.float64], what: str = "row", first: int = 1, *, repeated: bool = False) -> None:
    """Raise :class:`Fault` unless ``seconds`` [F] are finite and each comes after the one before it.

    With ``repeated`` it may be the same.
    """
    if not np.isfinite(seconds).all():
        row = int(np.argmin(np.isfinite(seconds)))
        raise Fault(f"{what} {row + first} has the timecode {seconds[row]}; accepted: seconds")
    wrong = np.diff(seconds) < 0 if repeated else np.diff(seconds) <= 0
    if wrong.any():
        row = int(np.argmax(wrong))
        before, after = seconds[row : row + 2]
        raise Fault(
            f"{what} {row + 1 + first} lies at {after:.8g} s, and the one before it at {before:.8g} s; "
            "accepted: ascending timecodes"
        )


def _not_a_number(what: str, row: int, values: Sequence[Any], names: Sequence[str]) -> Fault:
    for name, value in zip(names, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > np.finfo(np.float32).max:
            return Fault(f"{what} {row + 1}, column {shortened(name)} is {shortened(value)}; accepted: a finite number")
    return Fault(f"{what} {row + 1} is not a row of numbers")
