"""One HTTP request, from its first byte to its last.

Rule that this module guards: **nothing outlives its caller, its time or the gateway.** The work of a request runs in a
task of its own, which ends when the caller leaves, sends or reads nothing for long, when its time is over, or when the
gateway stops; whatever it holds
(room, windows at the server) is let go of as it unwinds. A body is refused as soon as it is known to be too
large: by its announced length, or where it grows too large.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotalk_gateway.listening.answers import answer
from emotalk_gateway.listening.protocol import SCOPE_KEY as CONNECTION
from emotalk_gateway.listening.protocol import BoundedProtocol
from emotalk_gateway.service.errors import (
    GatewayStopping,
    Problem,
    RequestTooSlow,
    UnsupportedEncoding,
    UploadTooLarge,
)
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled, within

SCOPE_KEY = "emotalk.request"
DRAIN_S = 2.0
"""Seconds in which what is left of a refused body is still taken in: a caller that writes before it reads would
otherwise find its connection broken, and never read why."""
LAST_WORDS_S = 1.0
"""Seconds that the last words may take to a caller that does not read."""


Said: TypeAlias = Callable[[Problem, int], Response]
"""An error as an answer; with the seconds after which to come again."""


class Lifetime:
    """ASGI middleware: every request of ``app`` within its limits, and counted.

    Args:
        said: how errors are said.
        max_bytes: of a body; None: as large as an upload.
    """

    def __init__(self, app: ASGIApp, service: Service, said: Said = answer, max_bytes: int | None = None) -> None:
        self._app = app
        self._service = service
        self._said = said
        self._max_bytes = service.settings.max_upload_bytes if max_bytes is None else max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Requests within their limits; what is none (WebSocket, start and stop) as it is."""
        if scope["type"] == "http":
            await OneRequest(self._service, scope, receive, send, self._said, self._max_bytes).run(self._app)
        else:
            await self._app(scope, receive, send)


class OneRequest:
    """The state of one request; routes find theirs in the scope, under :data:`SCOPE_KEY`."""

    def __init__(
        self, service: Service, scope: Scope, receive: Receive, send: Send, said: Said, max_bytes: int
    ) -> None:
        self._service = service
        self._said = said
        self._max_bytes = max_bytes
        self._scope = scope
        self._outer_receive = receive
        self._outer_send = send
        self._began = time.monotonic()
        self._bytes = 0
        self._body_s = 0.0
        self._announced: int | None = None
        self._body_ended = False
        self._left = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._status: int | None = None
        self._answered = False
        self.last_words: Callable[[Problem], bytes] | None = None
        """Last words of a stream that has begun and cannot go on."""

    async def run(self, app: ASGIApp) -> None:
        """Answer it with ``app``."""
        self._scope[SCOPE_KEY] = self
        settings = self._service.settings
        work = asyncio.ensure_future(app(self._scope, self._receive, self._send))
        left = asyncio.create_task(self._left.wait())
        stopping = asyncio.create_task(self._service.stopping.wait())
        try:
            await asyncio.wait(
                {work, left, stopping}, timeout=settings.request_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if work.done():
                error = work.exception()
                if error is not None and not self._left.is_set():  # of one who is gone, it is no mistake of ours
                    await self._end(error)
                return
            await cancelled(work)
            if left.done():
                self._service.metrics.rejected("CallerLeft")
            elif stopping.done():
                await self._end(GatewayStopping("the gateway stops; try again later"))
            else:
                await self._end(
                    RequestTooSlow(f"the request took longer than the {settings.request_timeout_s:g} s it may take")
                )
        finally:
            await cancelled(work, left, stopping, *([self._watch] if self._watch is not None else []))
            route = getattr(self._scope.get("route"), "path", "none")
            status = self._status or (499 if self._left.is_set() else 500)  # 499: nginx's, for a caller that left
            self._service.metrics.answered(route, status, time.monotonic() - self._began)

    async def _receive(self) -> Message:
        if self._body_ended:
            await self._left.wait()
            return {"type": "http.disconnect"}
        most = self._max_bytes
        if self._announced is None:
            headers = Request(self._scope).headers
            encoding = headers.get("content-encoding", "identity")
            if encoding.strip().lower() != "identity":
                raise UnsupportedEncoding(f"the body is encoded as {encoding!r}; accepted: a body that is not encoded")
            length = headers.get("content-length", "")
            self._announced = int(length) if length.isdecimal() else 0
            if self._announced > most:
                raise UploadTooLarge(f"the body has {self._announced} bytes; accepted: at most {most}")
        message = await self._in_time()
        if self._bytes > most:
            raise UploadTooLarge(f"the body has more than {most} bytes; accepted: at most {most}")
        return message

    async def _in_time(self) -> Message:
        """The next of the body; :class:`RequestTooSlow` where it does not come, or all of it comes too slowly."""
        settings = self._service.settings
        asked = time.monotonic()
        try:
            message = await within(self._next(), settings.body_timeout_s)
        except asyncio.TimeoutError as error:
            most = settings.body_timeout_s
            raise RequestTooSlow(f"no more of the body came for {most:g} s; accepted: at most {most:g} s") from error
        self._body_s += time.monotonic() - asked
        least = settings.min_body_bytes_per_s
        if not self._body_ended and self._bytes < least * (self._body_s - settings.body_timeout_s):
            raise RequestTooSlow(
                f"{self._bytes} bytes of the body came in {self._body_s:.0f} s; accepted: at least {least} a second"
            )
        return message

    async def _next(self) -> Message:
        message = await self._outer_receive()
        if message["type"] == "http.disconnect":
            self._body_ended = True
            self._left.set()
            return message
        self._bytes += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._body_ended = True
            # From here on the only news is that the caller is gone.
            self._watch = asyncio.create_task(self._watching())
        return message

    async def _watching(self) -> None:
        while (await self._outer_receive())["type"] != "http.disconnect":
            pass
        if not self._answered:  # after the answer, this is how its end is told
            self._left.set()

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if not self._body_ended and self._has_body():
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        elif not message.get("more_body", False) and not self._body_ended and self._has_body():
            await self._outer_send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._answered = True
        await self._to_caller(message)

    async def _to_caller(self, message: Message) -> None:
        """Send ``message``; a caller that takes nothing of it for long is let go of."""
        timer = asyncio.get_running_loop().call_later(self._service.settings.send_timeout_s, self._reads_nothing)
        try:
            await self._outer_send(message)
        finally:
            timer.cancel()

    def _reads_nothing(self) -> None:
        most = self._service.settings.send_timeout_s
        self._service.problem(RequestTooSlow(f"the caller read nothing for {most:g} s; accepted: at most {most:g} s"))
        self._left.set()
        self.abort()

    def abort(self) -> None:
        """End the connection: what was written to it, and was not read, would keep it open."""
        connection: BoundedProtocol | None = self._scope.get(CONNECTION)
        if connection is not None:
            connection.abort()

    def _has_body(self) -> bool:
        headers = Request(self._scope).headers
        return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers

    async def _drain(self) -> None:
        if Request(self._scope).headers.get("expect", "").lower() == "100-continue" and not self._bytes:
            return  # the body was never asked for
        most = self._bytes + self._max_bytes
        until = time.monotonic() + DRAIN_S
        while not self._body_ended and self._bytes <= most:
            try:
                await within(self._next(), until - time.monotonic())
            except asyncio.TimeoutError:
                return

    async def _end(self, error: BaseException) -> None:
        """Say why, as far as the caller still listens."""
        problem = self._service.problem(error)
        if self._status is None:
            response = self._said(problem, self._service.settings.retry_after_s)
            sending: Awaitable[None] = response(self._scope, self._receive, self._send)
        else:
            words = self.last_words(problem) if self.last_words is not None else b""
            sending = self._outer_send({"type": "http.response.body", "body": words})
        # RuntimeError: the answer had ended, or has a length that this would break; the connection closes.
        try:
            await within(sending, DRAIN_S + LAST_WORDS_S)
        except asyncio.TimeoutError:
            self.abort()
        except RuntimeError:
            return
