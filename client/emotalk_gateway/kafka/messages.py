"""Records as the library hands them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import Message


def headers_of(message: Message) -> list[tuple[str, Any]]:
    """Return the headers of ``message``; where they are unreadable ``[("", b"")]``, for which a request is refused.

    A header's name may be any bytes on the wire. The library raises for those that are not UTF-8, and the next call
    returns objects that crash whoever looks at them: it is asked once.
    """
    try:
        found: Iterable[tuple[str, Any]] = message.headers() or []  # type: ignore[assignment]  # of the library's stubs
    except (SystemError, UnicodeError):
        return [("", b"")]
    return list(found)
