"""Headers that browsers keep themselves to."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

YEAR_S = 365 * 24 * 3600


class SecureHeaders:
    """ASGI middleware: answers of ``app`` are what they say that they are, and whoever came in TLS does so again
    (RFC 6797).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = f"max-age={YEAR_S}"
            await send(message)

        await self._app(scope, receive, told)
