"""WebSockets of callers that do not read are let go of.

Rule that this module guards: **a connection that was ended is gone soon after.** Closing waits until everything was
taken that was sent; a caller that takes nothing would keep its connection, and what lies in its buffer, for ever.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_S = 10.0
"""Seconds after its end in which a caller may still take what was sent; as long as uvicorn waits for its goodbye."""
REFUSED_LINGER_S = 1.0
"""The same for a caller that was refused before it had started, to whom little was sent; many may come at once."""
STARTED = "emotalk.started"
"""Key in the scope of a connection that has started."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's own, but for its end."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the caller a moment, and then let go; do nothing to a connection that has gone by then."""
        super().on_task_complete(task)
        self.loop.call_later(LINGER_S if STARTED in self.scope else REFUSED_LINGER_S, self.transport.abort)
