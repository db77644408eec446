"""Values in error messages: shown as Python writes them, and never longer than a line.

Rule that this module guards: **a message is bounded, whatever was sent.** Nothing here walks a value deeper or further
than it shows, so a list nested ten thousand deep or an integer of a million digits is safe to name.
"""

from __future__ import annotations

import reprlib

MAX_SHOWN = 80
"""Characters of a value that a message shows."""
_MAX_BITS = 256
"""An integer of more is described; CPython refuses to write one of more than 4300 digits."""


class _Brief(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 4
        self.maxstring = self.maxother = MAX_SHOWN

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002  # the base class's signature
        return repr(x) if x.bit_length() <= _MAX_BITS else f"an integer of {x.bit_length()} bits"

    def repr_str(self, x: str, level: int) -> str:  # noqa: ARG002  # likewise
        return repr(x) if len(x) <= MAX_SHOWN else f"{x[:MAX_SHOWN]!r}... ({len(x)} characters)"


_BRIEF = _Brief()


def quoted(value: object) -> str:
    """``repr(value)``, shortened where it is long."""
    text = _BRIEF.repr(value)
    # A string's own ending, which tells its length, stays; everything else is cut.
    return text if isinstance(value, str) or len(text) <= 2 * MAX_SHOWN else f"{text[: 2 * MAX_SHOWN]}..."


def cut(text: str, length: int = 500) -> str:
    """``text`` itself, or its first ``length`` characters and how many there were."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"
