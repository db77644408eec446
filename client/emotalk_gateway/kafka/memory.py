"""Memory that nobody uses, given back to the system.

glibc keeps what was freed, in an arena a thread: after a few long clips a worker would hold twice what it needs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any


def _found() -> Callable[[int], Any]:
    """Return glibc's ``malloc_trim``; where there is another C library, something that does nothing."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda _: 0


_malloc_trim = _found()


def give_back() -> None:
    """Give free pages of all arenas back; takes a few milliseconds, without Python's lock."""
    _malloc_trim(0)
