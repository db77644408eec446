"""Records as the library hands them out."""

from __future__ import annotations

from collections.abc import Iterable
from operator import methodcaller
from typing import Any

from confluent_kafka import Message

_HEADERS = methodcaller("headers")
"""Calls it from C, where its result is looked at."""


def headers_of(message: Message) -> list[tuple[str, Any]]:
    """Return the headers of ``message``; where they are unreadable ``[("", b"")]``, for which a request is refused.

    A header's name may be any bytes on the wire. The library raises for those that are not UTF-8, and the next call
    returns objects that crash whoever looks at them: it is asked once. It returns something beside the error, which a
    call that CPython has specialised does not look for: the error would come out of whatever is called next.
    """
    try:
        found: Iterable[tuple[str, Any]] = _HEADERS(message) or []
    except (SystemError, UnicodeError):
        return [("", b"")]
    return list(found)
