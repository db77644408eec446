"""The audit log: one line of JSON for each request of a caller.

Rule that this module guards: **it says who, what and how much, and nothing of what was said**: no sound, no text, no
token, no picture, no query; names, classes of errors and amounts only.

A door begins an :class:`Entry`; what serves the request finds it by :func:`entry`, as spans are found, and adds to it.
Whatever asks for no caller (health, the page and its files) leaves no line.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import InvalidSettings

LOGGER = "emotalk.audit"
REQUEST_ID = "x-request-id"
"""Header, or metadata, in which a caller may name a request, and is told its name."""
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")

_log = logging.getLogger(LOGGER)


@dataclass(slots=True, eq=False)
class Entry:
    """One request, as the log has it."""

    door: str
    """``http``, ``websocket``, ``grpc``, ``omniverse``, ``lip-sync`` (its WebSocket) or ``kafka``."""
    operation: str = ""
    """The route's template or the method's name; never what the caller wrote."""
    request: str = ""
    """Its name: the caller's own where it can be one, else one that was made."""
    address: str | None = None
    """The host that it came from; that of a proxy, where there is one."""
    caller: str | None = None
    """None: whoever asked is not known."""
    asked: bool = False
    """True once a token was asked for."""
    bytes_in: int = 0
    bytes_out: int = 0
    speech_s: float = 0.0
    """Taken in or made."""
    frames: int = 0
    error: str | None = None
    """Class of the last error that the caller was told of."""
    outcome: int | str | None = None
    """HTTP's status, WebSocket's close code, gRPC's code, or what became of a queue's record."""

    def line(self, when: datetime, took_s: float) -> dict[str, Any]:
        """Return what is written."""
        return {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "request": self.request,
            "caller": self.caller,
            "address": self.address,
            "door": self.door,
            "operation": self.operation,
            "outcome": self.outcome,
            "error": self.error,
            "seconds": round(took_s, 3),
            "speech_s": round(self.speech_s, 3),
            "frames": self.frames,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }


_current: ContextVar[Entry | None] = ContextVar("entry", default=None)


def entry() -> Entry:
    """Return that of the request that is being served; one that nobody reads where there is not any."""
    return _current.get() or Entry("none")


@contextmanager
def begun(door: str, named: str | None = None, address: str | None = None) -> Iterator[Entry]:
    """Yield the entry of a request, which is written at the end of the block.

    Args:
        named: what the caller calls the request.
        address: the host that it came from.
    """
    request = named if named is not None and _NAME.fullmatch(named) else uuid.uuid4().hex
    made = Entry(door, request=request, address=address)
    token, when, began = _current.set(made), datetime.now(timezone.utc), time.monotonic()
    try:
        yield made
    finally:
        # A coroutine that nobody waits for any more is closed in another context, where nothing is to be put back.
        with suppress(ValueError):
            _current.reset(token)
        if made.asked and _log.isEnabledFor(logging.INFO):
            _log.info("%s", json.dumps(made.line(when, time.monotonic() - began)))


class _File(logging.handlers.WatchedFileHandler):
    """A file that others of the machine cannot read: it says who asks, and when."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        return os.fdopen(descriptor, "a", encoding=self.encoding)


@contextmanager
def audited(path: Path | None) -> Iterator[None]:
    """Write the log to the file at ``path`` for as long as the block lasts; None: to nobody but who configured it.

    A file that is moved away, or removed, is made anew at the next line, as those who rotate logs expect.

    Raises:
        InvalidSettings: it cannot be written.
    """
    if path is None:
        yield
        return
    try:
        handler = _File(path, encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(
            f"the audit log {quoted(str(path))} cannot be written: {error.strerror or error}; accepted: a file of a "
            "folder that is there, and may be written to"
        ) from error
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = _log.level, _log.propagate
    _log.setLevel(logging.INFO)
    _log.propagate = False
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.level, _log.propagate = before
        handler.close()
