"""Headers that browsers keep themselves to."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

YEAR_S = 365 * 24 * 3600
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy (W3C, level 3) of answers that have not their own."""
OTHERS_PAGES = {"/docs": "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"}
"""Policies of pages whose scripts come from elsewhere: FastAPI's, by the page's path."""


class SecureHeaders:
    """ASGI middleware: answers of ``app`` are what they say that they are, stand in no frame and run no scripts of
    others, and whoever came in TLS does so again (RFC 6797).
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
                headers.setdefault("Content-Security-Policy", OTHERS_PAGES.get(scope["path"], POLICY))
                headers.setdefault("Referrer-Policy", "no-referrer")
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = f"max-age={YEAR_S}"
            await send(message)

        await self._app(scope, receive, told)
