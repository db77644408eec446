"""Depth of JSON, before it is parsed: what nests deeper than a parser can follow is refused by whoever asks."""

from __future__ import annotations

import re

import numpy as np

MAX_DEPTH = 100
"""Of a caller's JSON; options need three."""
# A string that is not closed reaches to the end, so that no search for its end is repeated.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*\\?(?:"|\Z)', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def depth(value: bytes | bytearray) -> int:
    """Return how deep the brackets of ``value`` nest, those in strings left out; in time linear in its length."""
    if not value.count(b"[") + value.count(b"{"):
        return 0
    brackets = np.frombuffer(_STRING.sub(b"", value).translate(None, _OTHERS), np.uint8)
    opening = (brackets == ord("[")) | (brackets == ord("{"))
    return int(np.cumsum(np.where(opening, 1, -1)).max(initial=0))
