"""A web server on a port of its own, as a door: :class:`~emotalk_gateway.listening.doors.Door`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emotalk_gateway.listening import base_url, listen
from emotalk_gateway.listening.protocol import Connections, Limits
from emotalk_gateway.listening.server import WebServer
from emotalk_gateway.listening.tls import FILES, DoorTls, FreshContext
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled

UNWIND_S = 2
"""Seconds in which requests must end once the gateway stops; less than a door has."""


class WebDoor:
    """Serves ``app`` (ASGI).

    Args:
        name: what people call the door.
        host, port: to listen on; port 0: any that is free.
        option: of the command, that gives the port; for messages.
        tls: None: none.
        settings: more of uvicorn's, such as how it speaks WebSocket.
    """

    def __init__(
        self,
        service: Service,
        name: str,
        app: Any,
        host: str,
        port: int,
        option: str,
        tls: DoorTls | None,
        **settings: Any,
    ) -> None:
        self.port = port
        """It listens on; once it is open, never 0."""
        self._service = service
        self._name = name
        self._app = app
        self._host = host
        self._option = option
        self._tls = tls
        self._settings = settings
        self._server: _OnALoop | None = None
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> str:
        """See :class:`~emotalk_gateway.listening.doors.Door`.

        Raises:
            CannotListen: the address cannot be listened on.
            InvalidSettings: a certificate cannot be used.
        """
        service, settings = self._service, self._service.settings
        files = None if self._tls is None else self._tls.followed()
        listening = listen(self._host, self.port, self._option)
        self.port = listening.getsockname()[1]
        limits = Limits(settings.max_connections, settings.max_header_bytes, settings.header_timeout_s)
        http: Any = Connections(limits, service.told).protocol
        tls = None
        if files is not None:
            tls = FreshContext(files)
            service.metrics.follow(f"{FILES} of {self._name} {self.port}", lambda: files.stale)
        serves = asyncio.Event()
        patience_s = settings.header_timeout_s
        self._server = _OnALoop(self._app, UNWIND_S, serves.set, tls, patience_s, http=http, **self._settings)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        waiting = asyncio.create_task(serves.wait())
        await asyncio.wait({waiting, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        await cancelled(waiting)
        if self._serving.done():
            self._serving.result()
        return f"{self._name} {base_url(listening, tls=self._tls is not None)}"

    async def close(self) -> None:
        """See :class:`~emotalk_gateway.listening.doors.Door`."""
        if self._server is not None and self._serving is not None:
            self._server.stop()
            await self._serving


class _OnALoop(WebServer):
    """A server beside another, whose signals it leaves alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
