"""One call, as a handler sees it.

Rule that this module guards: **what a caller got wrong reaches the caller.** Clients in Python lose the status of a
call that ends while they still write. So what else comes is read on, up to bounds, before an error ends the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import within

DRAIN_S = 5.0
"""Seconds in which what comes before an error is read on; a caller that speaks in real time hears of it then."""
DRAIN_IDLE_S = 1.0
"""Seconds without a message after which nothing else is waited for."""


def never(_request: Any) -> bool:
    """Return False: nothing but the end of the stream says that a request is over."""
    return False


class Call:
    """A call that is being answered.

    Args:
        context: gRPC's.
        over: True of the message after which a caller writes nothing, though its stream may stay open.
    """

    def __init__(self, service: Service, context: Any, over: Callable[[Any], bool] = never) -> None:
        self.service = service
        self.metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        self._context = context
        self._over = over
        self._is_over = False
        self._reading: asyncio.Future[Any] | None = None

    async def read(self) -> Any:
        """Return the caller's next message; None where there will not be one.

        A read that is cancelled loses nothing: the message is the next one's.
        """
        if self._is_over:
            return None
        if self._reading is None:  # gRPC bears one read at once, and no end of it
            self._reading = asyncio.ensure_future(self._context.read())
        await asyncio.wait({self._reading})
        reading, self._reading = self._reading, None
        request = reading.result()
        if request is grpc.aio.EOF:
            self._is_over = True
            return None
        self._is_over = self._over(request)
        return request

    async def write(self, answer: Any) -> None:
        """Send ``answer``, a message or its bytes; waits while the caller does not read."""
        await self._context.write(answer)

    async def abort(self, code: grpc.StatusCode, text: str) -> NoReturn:
        """End the call with ``code``."""
        await self._context.abort(code, text)
        raise AssertionError("abort returned")

    async def drain(self) -> None:
        """Read on, and forget, until the caller has written all, or for as long as is allowed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + DRAIN_S
        while not self._is_over and not self.service.stopping.is_set() and (left := until - loop.time()) > 0:
            try:
                await within(self.read(), min(DRAIN_IDLE_S, left))
            except asyncio.TimeoutError:
                return

    def close(self) -> None:
        """Let go of what is still being read."""
        if self._reading is not None:
            self._reading.cancel()
