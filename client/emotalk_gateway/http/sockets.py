"""WebSockets of callers that do not read are let go of.

Rule that this module guards: **a connection that was ended is gone soon after.** Closing waits until everything was
taken that was sent; a caller that takes nothing would keep its connection, and what lies in its buffer, for ever.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_S = 10.0
"""Seconds after its end in which a caller may still take what was sent; as long as uvicorn waits for its goodbye."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's own, but for its end."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the caller :data:`LINGER_S`; does nothing to a connection that has gone by then."""
        super().on_task_complete(task)
        self.loop.call_later(LINGER_S, self.transport.abort)
