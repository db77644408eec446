"""An entry of the audit log for each request, and for each WebSocket."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotalk_gateway.service.auditing import REQUEST_ID, begun


class Audited:
    """ASGI middleware: requests to ``app``, each with its entry; answers tell its name.

    Args:
        door: as the log calls it.
    """

    def __init__(self, app: ASGIApp, door: str = "http") -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        door = "websocket" if scope["type"] == "websocket" and self._door == "http" else self._door
        host = asked.client.host if asked.client is not None else None
        with begun(door, asked.headers.get(REQUEST_ID), host) as entry:

            async def heard() -> Message:
                message = await receive()
                entry.bytes_in += len(message.get("body") or message.get("bytes") or message.get("text") or b"")
                return message

            async def told(message: Message) -> None:
                if message["type"] in ("http.response.start", "websocket.http.response.start"):
                    entry.outcome = message["status"]
                    MutableHeaders(scope=message)[REQUEST_ID] = entry.request
                elif message["type"] == "websocket.close":
                    entry.outcome = message.get("code", 1000)
                entry.bytes_out += len(message.get("body") or message.get("bytes") or message.get("text") or b"")
                await send(message)

            try:
                await self._app(scope, heard, told)
            finally:
                entry.operation = getattr(scope.get("route"), "path", "none")
