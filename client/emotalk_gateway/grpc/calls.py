"""One call, as a handler sees it.

Rule that this module guards: **what a caller got wrong reaches the caller.** Clients in Python lose the status of a
call that ends while they still write. So what else comes is read on, up to bounds, before an error ends the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import unquote

import grpc

from emotalk_gateway.service.auditing import entry
from emotalk_gateway.service.callers import ANYONE
from emotalk_gateway.service.errors import GatewayStopping
from emotalk_gateway.service.service import Service

STOPPING = "the gateway stops; try again later"
DRAIN_S = 5.0
"""Seconds in which what comes before an error is read on; a caller that speaks in real time hears of it then."""
DRAIN_IDLE_S = 1.0
"""Seconds without a message after which nothing else is waited for."""


def never(_request: Any) -> bool:
    """Return False: nothing but the end of the stream says that a request is over."""
    return False


def _forget(_request: Any) -> None:
    pass


class Call:
    """A call that is being answered.

    Args:
        context: gRPC's.
        over: True of the message after which a caller writes nothing, though its stream may stay open.
    """

    def __init__(self, service: Service, context: Any, over: Callable[[Any], bool] = never) -> None:
        self.service = service
        self.metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        self.caller = ANYONE
        """That asks, once it is known."""
        self._context = context
        self._over = over
        self._reading: asyncio.Task[None] | None = None
        self._handle: Callable[[Any], None] | None = None
        self._came = 0

        self._is_read = False
        """True once the caller has written all."""

    async def first(self, allowed_s: float) -> Any:
        """Return the caller's next message, and its first at first; None where there is not one.

        Raises:
            asyncio.TimeoutError: it has not come within ``allowed_s``.
            GatewayStopping: the gateway stops meanwhile.
        """
        if self._is_read:
            return None
        came: list[Any] = []
        self._handle = came.append
        self._reading = asyncio.ensure_future(self._read(most=self._came + 1))
        stopping = asyncio.ensure_future(self.service.stopping.wait())
        try:
            await asyncio.wait({self._reading, stopping}, timeout=allowed_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not self._reading.done():
            if self.service.stopping.is_set():
                raise GatewayStopping(STOPPING)
            raise asyncio.TimeoutError
        self._reading.result()
        return came[0] if came else None

    async def each(self, handle: Callable[[Any], None]) -> None:
        """Give the caller's messages to ``handle``, one by one, until it has written all.

        Raises whatever ``handle`` raises.
        """
        if self._is_read:
            return
        self._handle = handle
        self._reading = asyncio.ensure_future(self._read())
        await asyncio.wait({self._reading})  # which a cancellation leaves alone: gRPC bears one read, and no end of it
        self._reading.result()

    async def _read(self, most: int | None = None) -> None:
        while most is None or self._came < most:
            request = await self._context.read()
            if request is grpc.aio.EOF:
                self._is_read = True
                return
            self._came += 1
            entry().bytes_in += request.ByteSize()
            self._is_read = self._over(request)
            if self._handle is not None:
                self._handle(request)
            if self._is_read:
                return

    async def write(self, answer: Any) -> None:
        """Send ``answer``, a message or its bytes; waits while the caller does not read.

        A caller that leaves meanwhile cancels the call, as it does anywhere else.
        """
        entry().bytes_out += len(answer) if isinstance(answer, bytes) else answer.ByteSize()
        try:
            await self._context.write(answer)
        except grpc.aio.InternalError:  # gRPC's word for a message that nobody takes any more
            raise asyncio.CancelledError from None

    async def abort(self, code: grpc.StatusCode, text: str) -> NoReturn:
        """End the call with ``code``."""
        await self._context.abort(code, text)
        raise AssertionError("abort returned")

    async def drain(self) -> None:
        """Read on, and forget, until the caller has written all, or for as long as is allowed."""
        if self._is_read:
            return
        self._handle = _forget
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._read())
        loop = asyncio.get_running_loop()
        until = loop.time() + DRAIN_S
        while not self.service.stopping.is_set() and (left := until - loop.time()) > 0:
            came = self._came
            done, _ = await asyncio.wait({self._reading}, timeout=min(DRAIN_IDLE_S, left))
            if done or came == self._came:
                return

    @property
    def address(self) -> str | None:
        """The caller's host; None where gRPC does not say (``ipv4:127.0.0.1:5`` or ``ipv6:%5B::1%5D:5``)."""
        kind, _, place = unquote(self._context.peer() or "").partition(":")
        return place.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else None

    def close(self) -> None:
        """Let go of what is still being read."""
        if self._reading is not None:
            self._reading.cancel()
