"""A span for each request, and for each WebSocket (semantic conventions for HTTP 1.27)."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotalk_gateway.service.tracing import span

UNTRACED = ("/health", "/v1/health", "/ready", "/metrics")
"""Beginnings of paths that machines ask all the time."""
FAILED = 500


class Traced:
    """ASGI middleware: requests to ``app``, each in a span that goes on from its caller's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(UNTRACED):
            await self._app(scope, receive, send)
            return
        method = scope.get("method", "GET")
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes: dict[str, Any] = {"http__request__method": method, "url__scheme": scope["scheme"]}
        with span(method, carrier, **attributes) as going:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    going.tell(http__response__status_code=message["status"])
                    if message["status"] >= FAILED:
                        going.failed(str(message["status"]))
                await send(message)

            try:
                await self._app(scope, receive, told)
            finally:
                if route := getattr(scope.get("route"), "path", None):
                    going.named(f"{method} {route}")
                    going.tell(http__route=route)
