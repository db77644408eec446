"""The gateway on a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI

from emotalk_gateway.listening.doors import Door
from emotalk_gateway.listening.protocol import Connections, Limits
from emotalk_gateway.listening.server import WebServer
from emotalk_gateway.listening.sockets import SocketProtocol
from emotalk_gateway.listening.tls import FILES, FreshContext, tls_of
from emotalk_gateway.service.service import Service

GOODBYE_S = 1.0
"""Seconds in which streams that go on are told that the gateway stops."""
UNWIND_S = 3
"""Seconds after that, in which everything else must end; together less than the five that people wait."""


class Server(WebServer):
    """The gateway ``app`` (of :func:`~emotalk_gateway.app.create_app`), which says goodbye to whoever is being served.

    Args:
        ready: called once, when requests are served.
        doors: opened before that, and closed at the end.

    Raises:
        InvalidSettings: the files for TLS cannot be used.
        CannotListen: out of :meth:`run`; a door could not be opened.
    """

    def __init__(self, app: FastAPI, ready: Callable[[], None] = lambda: None, doors: Sequence[Door] = ()) -> None:
        self._service: Service = app.state.service
        self._doors = doors
        self.said: list[str] = []
        """The words of the doors about themselves, once requests are served."""
        settings = self._service.settings
        limits = Limits(settings.max_connections, settings.max_header_bytes, settings.header_timeout_s)
        self.open = Connections(limits, self._service.told)
        """Its connections; those that became WebSockets are counted elsewhere."""
        tls = tls_of(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        context = None
        if tls is not None:
            files = tls.followed()
            context = FreshContext(files)
            self._service.metrics.follow(FILES, lambda: files.stale)
        http: Any = self.open.protocol
        most = settings.max_message_bytes
        super().__init__(
            app,
            UNWIND_S,
            ready,
            context,
            settings.header_timeout_s,
            http=http,
            ws=SocketProtocol,
            ws_max_size=most,
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the doors, and then the web server's own."""
        try:
            for door in self._doors:
                self.said.append(await door.open())
        except BaseException:
            await self._close_doors()
            raise
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell those who are being served, and then uvicorn's."""
        for server in self.servers:
            server.close()
        self._service.stopping.set()
        closing = asyncio.create_task(self._close_doors())
        until = asyncio.get_running_loop().time() + GOODBYE_S
        while self.server_state.tasks and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        await closing
        await super().shutdown(sockets)

    async def _close_doors(self) -> None:
        await asyncio.gather(*(door.close() for door in self._doors))
