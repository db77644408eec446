"""One HTTP connection, within limits that its parser does not have.

Rule that this module guards: **what a caller sends before it has asked for anything is bounded, in bytes and in time.**
Headers, a URL, trailers and what lies between chunks may have so many bytes; headers must be there in so many seconds.
However many connect, the one that has been waited for the longest makes room for the newest.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from emotalk_gateway.service.errors import (
    GatewayError,
    GatewayFull,
    HeadersTooLarge,
    MalformedRequest,
    Problem,
    RequestTooSlow,
    UrlTooLong,
    problem_of,
)

SCOPE_KEY = "emotalk.connection"
"""Key under which an application finds its :class:`BoundedProtocol` in the scope of ASGI."""
LEAST_HEAD_S = 0.02
"""Seconds that a request's first bytes are waited for before the connection makes room for another."""
LEAST_BODY_S = 1.0
"""Likewise, of a body, or of an answer that is being read."""
FAREWELL_S = 1.0
"""Seconds that a refusal may take to be read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all connections of one listening socket."""

    connections: int
    header_bytes: int
    """Of the URL and of all headers together."""
    header_s: float
    """Seconds from the first byte (or the connection) to the last header."""


class Connections:
    """Those that are open; at most as many as :class:`Limits` says."""

    def __init__(self, limits: Limits, told: Callable[[Problem], None] = lambda _: None) -> None:
        self.limits = limits
        self.told = told
        """Called with each refusal, for the metrics."""
        self._open: set[BoundedProtocol] = set()

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self, **given: Any) -> BoundedProtocol:
        """Return a new one, as uvicorn makes them."""
        return BoundedProtocol(self, **given)

    def join(self, one: BoundedProtocol) -> bool:
        """Count ``one``; False where there is no room, and nobody to make it."""
        if len(self._open) >= self.limits.connections and not self._make_room(one.loop.time()):
            return False
        self._open.add(one)
        return True

    def leave(self, one: BoundedProtocol) -> None:
        """Count ``one`` no longer."""
        self._open.discard(one)

    def _make_room(self, now: float) -> bool:
        late = [(one.waiting_since, one) for one in self._open if one.waiting_since + one.least_wait_s <= now]
        if not late:
            return False
        _, oldest = min(late, key=lambda pair: pair[0])
        self.leave(oldest)
        oldest.abort()
        return True


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's, within the limits of ``connections``."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._all = connections
        self._limits = connections.limits
        self._heard_at = self.loop.time()
        self._in_head = True
        self._head_bytes = 0
        self._strange_bytes = 0  # since the last that belonged to a request
        self._timer: asyncio.TimerHandle | None = None
        self._wrong: GatewayError | None = None
        self._over = False

    @property
    def waiting_since(self) -> float:
        """Since when the caller is waited for, by the loop's clock; infinite where it waits for us."""
        if self._over or self.transport.is_closing():
            return 0.0
        if self.flow.write_paused or self._in_head:
            return self._heard_at
        body_comes = self.cycle is not None and self.cycle.more_body and not self.flow.read_paused
        return self._heard_at if body_comes else math.inf

    @property
    def least_wait_s(self) -> float:
        """Seconds that it is waited for at least; a request's first bytes come together."""
        return LEAST_HEAD_S if self._in_head else LEAST_BODY_S

    def abort(self) -> None:
        """End the connection at once, read or not."""
        self._over = True
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Uvicorn's, if there is room."""
        super().connection_made(transport)
        if not self._all.join(self):
            most = self._limits.connections
            self._refuse(GatewayFull(f"{most} connections are open; accepted: {most} at once"))
            return
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Uvicorn's, counted."""
        self._over = True
        self._end_head()
        self._all.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Uvicorn's, while what comes belongs to a request."""
        if self._over:
            return
        if self._in_head:
            if self._timer is None:
                self._begin_head()
        else:
            self._heard_at = self.loop.time()
        self._strange_bytes += len(data)
        super().data_received(data)
        if not self._over and self._strange_bytes > self._limits.header_bytes:
            kind = UrlTooLong if self._in_head and not self._head_bytes else HeadersTooLarge
            self._refuse(kind(self._too_large()))

    def handle_websocket_upgrade(self) -> None:
        """Uvicorn's; from here on it is another protocol's connection."""
        self._end_head()
        self._all.leave(self)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words
        """Say what is wrong in our own form."""
        self._refuse(self._wrong or MalformedRequest("the request cannot be read; accepted: HTTP/1.1"))

    def on_message_begin(self) -> None:
        """Uvicorn's."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Uvicorn's, counted."""
        self._count(len(url), UrlTooLong)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Uvicorn's, counted; trailers too."""
        self._count(len(name) + len(value), HeadersTooLarge)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Uvicorn's; the application may find this connection in the scope."""
        self._end_head()
        self._in_head = False
        self._strange_bytes = 0
        self._heard_at = self.loop.time()
        self.scope[SCOPE_KEY] = self  # type: ignore[literal-required]  # ours
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Uvicorn's."""
        self._strange_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Uvicorn's; what comes next is a head."""
        self._strange_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Uvicorn's; from here on, the next request is waited for."""
        self._in_head = True
        self._heard_at = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Uvicorn's; from here on, the caller is waited for."""
        self._heard_at = self.loop.time()
        super().pause_writing()

    def _count(self, size: int, kind: type[GatewayError]) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.header_bytes:
            self._wrong = kind(self._too_large())
            raise self._wrong  # which the parser takes for a bad request, and ends

    def _too_large(self) -> str:
        return (
            f"the URL and the headers have more than {self._limits.header_bytes} bytes; "
            f"accepted: at most {self._limits.header_bytes}"
        )

    def _begin_head(self) -> None:
        self._heard_at = self.loop.time()
        self._timer = self.loop.call_later(self._limits.header_s, self._head_is_late)

    def _end_head(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self._strange_bytes:
            most = self._limits.header_s
            self._refuse(RequestTooSlow(f"the headers took longer than {most:g} s; accepted: at most {most:g} s"))
        else:
            self.abort()

    def _refuse(self, error: GatewayError) -> None:
        """Say ``error`` and close; just close where an answer has begun."""
        if self._over:
            return
        self._over = True
        self._end_head()
        problem = problem_of(error)
        self._all.told(problem)
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
            return
        body = json.dumps(problem.http_body()).encode()
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
        self.loop.call_later(FAREWELL_S, self.transport.abort)
