"""A port of its own for the lip-sync server's WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from emotalk_gateway.lipsync.socket import Connection
from emotalk_gateway.listening import base_url, listen
from emotalk_gateway.listening.hosts import HostCheck, KnownHosts
from emotalk_gateway.listening.protocol import Connections, Limits
from emotalk_gateway.listening.server import WebServer
from emotalk_gateway.listening.sockets import SocketProtocol
from emotalk_gateway.service.lipsync import LipSync
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled

UNWIND_S = 2
"""Seconds in which connections must end once the gateway stops; less than a door has."""
MOST_MESSAGE_BYTES = 2**18
"""Of a request: a name and sixteen chunks of sound."""
ONLY = b"Binary WebSocket of a lip-sync server; see docs/renderers.md\n"


class LipSyncDoor:
    """Serves WebSockets on ``port`` (0: any that is free), under any path."""

    def __init__(self, service: Service, lipsync: LipSync, host: str, port: int) -> None:
        self.port = port
        """It listens on; once it is open, never 0."""
        self._service = service
        self._lipsync = lipsync
        self._host = host
        self._server: _OnALoop | None = None
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> str:
        """See :class:`~emotalk_gateway.listening.doors.Door`.

        Raises:
            CannotListen: the address cannot be listened on.
        """
        service, settings = self._service, self._service.settings
        listening = listen(self._host, self.port, "--lipsync-websocket-port")
        self.port = listening.getsockname()[1]
        limits = Limits(settings.max_connections, settings.max_header_bytes, settings.header_timeout_s)
        http: Any = Connections(limits, service.told).protocol
        app = HostCheck(self._answer, KnownHosts(settings.allowed_hosts), service.told)
        serves = asyncio.Event()
        self._server = _OnALoop(
            app, UNWIND_S, serves.set, http=http, ws=SocketProtocol, ws_max_size=MOST_MESSAGE_BYTES
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        waiting = asyncio.create_task(serves.wait())
        await asyncio.wait({waiting, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        await cancelled(waiting)
        if self._serving.done():
            self._serving.result()
        return f"lip-sync {base_url(listening).replace('http', 'ws', 1)}"

    async def close(self) -> None:
        """See :class:`~emotalk_gateway.listening.doors.Door`."""
        if self._server is not None and self._serving is not None:
            self._server.stop()
            await self._serving

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await Connection(self._service, self._lipsync, WebSocket(scope, receive, send)).run()
        elif scope["type"] == "http":
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(ONLY)).encode())]
            await send({"type": "http.response.start", "status": 426, "headers": [*headers, (b"upgrade", b"websocket")]})
            await send({"type": "http.response.body", "body": ONLY})
        else:
            await _lifespan(receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


class _OnALoop(WebServer):
    """A server beside another, whose signals it leaves alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
