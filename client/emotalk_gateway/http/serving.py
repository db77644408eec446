"""Listens on a port, and stops when it is told to."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from emotalk_gateway.http.sockets import SocketProtocol
from emotalk_gateway.service.errors import AddressInUse, CannotListen
from emotalk_gateway.service.service import Service

GOODBYE_S = 1.0
"""Seconds in which streams that go on are told that the gateway stops."""
UNWIND_S = 3
"""Seconds after that, in which everything else must end; together less than the five that people wait."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host`` and ``port`` (0: any that is free).

    Raises:
        AddressInUse: somebody else does.
        CannotListen: there is no such address here, or it is not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"port {port} of {host} is in use; accepted: a free one (--port)") from error
        reason = error.strerror or error
        raise CannotListen(
            f"cannot listen on port {port} of {host}: {reason}; accepted: an address of this machine"
        ) from error
    except OverflowError as error:
        raise CannotListen(f"the port is {port}; accepted: 0..65535") from error


def address(listening: socket.socket) -> str:
    """``http://host:port``, as a browser of this machine takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener(uvicorn.Server):
    """``app`` on a socket; :meth:`run` returns when it was stopped.

    Args:
        unwind_s: seconds that a caller may keep it from ending.
        ready: called once, when requests are served.
        settings: more of uvicorn's.
    """

    def __init__(self, app: FastAPI, unwind_s: int, ready: Callable[[], None], **settings: Any) -> None:
        self._ready = ready
        quiet: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
        super().__init__(uvicorn.Config(app, lifespan="on", timeout_graceful_shutdown=unwind_s, **quiet, **settings))

    def stop(self) -> None:
        """Stop soon; from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's, and then the news."""
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end :meth:`run`, and nothing else: uvicorn would raise them again, and what the command
        holds (a server that it started) would not be let go of.
        """
        try:
            previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread
            yield
            return
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class Server(Listener):
    """The gateway ``app`` (of :func:`~emotalk_gateway.http.app.create_app`), which says goodbye to whoever is inside.

    Args:
        ready: called once, when requests are served.
    """

    def __init__(self, app: FastAPI, ready: Callable[[], None] = lambda: None) -> None:
        self._service: Service = app.state.service
        most = self._service.settings.max_message_bytes
        super().__init__(app, UNWIND_S, ready, http="httptools", ws=SocketProtocol, ws_max_size=most)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell those who are being served, and then uvicorn's."""
        for server in self.servers:
            server.close()
        self._service.stopping.set()
        until = asyncio.get_running_loop().time() + GOODBYE_S
        while self.server_state.tasks and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
