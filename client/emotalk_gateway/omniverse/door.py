"""A port of its own for the clients of Omniverse Audio2Face."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotalk_contract.quoting import quoted
from emotalk_gateway.listening import base_url, listen
from emotalk_gateway.listening.protocol import Connections, Limits
from emotalk_gateway.listening.server import WebServer
from emotalk_gateway.listening.tls import FILES, DoorTls, FreshContext
from emotalk_gateway.omniverse.folders import Folders
from emotalk_gateway.omniverse.routes import omniverse_app
from emotalk_gateway.service.errors import InvalidSettings
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled

UNWIND_S = 2
"""Seconds in which requests must end once the gateway stops; less than a door has."""


class OmniverseDoor:
    """Serves :mod:`~emotalk_gateway.omniverse.routes` on ``port`` (0: any that is free), with a state of its own.

    Args:
        folder: below which faces are written.

    Raises:
        InvalidSettings: it, or a folder of sounds, is not a folder.
    """

    def __init__(self, service: Service, port: int, folder: Path, tls: DoorTls | None = None) -> None:
        self._tls = tls
        self.port = port
        """It listens on; once it is open, never 0."""
        self._service = service
        settings = service.settings
        sounds = [_folder(Path(one), "EMOTALK_GATEWAY_OMNIVERSE_SOUNDS") for one in settings.omniverse_sounds]
        anywhere = not sounds and _is_loopback(settings.omniverse_host)
        self._folders = Folders(_folder(folder, "--omniverse-folder"), None if anywhere else sounds)
        self._server: _OnALoop | None = None
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> str:
        """See :class:`~emotalk_gateway.listening.doors.Door`.

        Raises:
            CannotListen: the address cannot be listened on.
            InvalidSettings: a certificate cannot be used.
        """
        service = self._service
        settings = service.settings
        files = None if self._tls is None else self._tls.followed()
        listening = listen(settings.omniverse_host, self.port, "--omniverse-port")
        self.port = listening.getsockname()[1]
        limits = Limits(settings.max_connections, settings.max_header_bytes, settings.header_timeout_s)
        http: Any = Connections(limits, service.told).protocol
        serves = asyncio.Event()
        tls = None
        if files is not None:
            tls = FreshContext(files)
            service.metrics.follow(f"{FILES} of omniverse {self.port}", lambda: files.stale)
        app = omniverse_app(service, self._folders)
        patience_s = settings.header_timeout_s
        self._server = _OnALoop(app, UNWIND_S, serves.set, tls, patience_s, http=http, ws="none")
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        waiting = asyncio.create_task(serves.wait())
        await asyncio.wait({waiting, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        await cancelled(waiting)
        if self._serving.done():
            self._serving.result()
        return f"omniverse {base_url(listening, tls=self._tls is not None)}"

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


def _folder(path: Path, option: str) -> Path:
    if not path.is_dir():
        raise InvalidSettings(f"{option} is {quoted(str(path))}; accepted: a folder that is there")
    return path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
