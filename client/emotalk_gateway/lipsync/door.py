"""A port of its own for the lip-sync server's WebSocket, under any path."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from emotalk_gateway.lipsync.socket import Connection
from emotalk_gateway.listening.auditing import Audited
from emotalk_gateway.listening.hosts import HostCheck, KnownHosts
from emotalk_gateway.listening.sockets import SocketProtocol
from emotalk_gateway.listening.tls import DoorTls
from emotalk_gateway.listening.webdoor import WebDoor
from emotalk_gateway.service.lipsync import LipSync
from emotalk_gateway.service.service import Service

MOST_MESSAGE_BYTES = 2**18
"""Of a request: a name and sixteen chunks of sound."""
ONLY = b"This port speaks WebSocket only (docs/renderers.md).\n"


class LipSyncSocketDoor(WebDoor):
    """Serves :class:`~emotalk_gateway.lipsync.socket.Connection` on ``port`` (0: any that is free)."""

    def __init__(self, service: Service, lipsync: LipSync, host: str, port: int, tls: DoorTls | None = None) -> None:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await Connection(service, lipsync, WebSocket(scope, receive, send)).run()
            elif scope["type"] == "lifespan":
                await _lifespan(receive, send)
            else:
                await _refuse(send)

        app = Audited(HostCheck(answer, KnownHosts(service.settings.allowed_hosts), service.told), "lip-sync")
        most: dict[str, Any] = {"ws": SocketProtocol, "ws_max_size": MOST_MESSAGE_BYTES}
        super().__init__(service, "lip-sync WebSocket", app, host, port, "--lipsync-websocket-port", tls, **most)


async def _refuse(send: Send) -> None:
    length = str(len(ONLY)).encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", length), (b"upgrade", b"websocket")]
    await send({"type": "http.response.start", "status": HTTPStatus.UPGRADE_REQUIRED, "headers": headers})
    await send({"type": "http.response.body", "body": ONLY})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
