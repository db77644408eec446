"""Serves an application on a socket, and stops when it is told to."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


class WebServer(uvicorn.Server):
    """``app`` (ASGI) on a socket; :meth:`run` returns when it was stopped.

    Args:
        unwind_s: seconds that a caller may keep it from ending.
        ready: called once, when requests are served.
        tls: for TLS; None: it is not spoken.
        handshake_s: seconds in which a caller must have begun TLS.
        settings: more of uvicorn's.
    """

    def __init__(
        self,
        app: Any,
        unwind_s: int,
        ready: Callable[[], None],
        tls: ssl.SSLContext | None = None,
        handshake_s: float = 10.0,
        **settings: Any,
    ) -> None:
        self._ready = ready
        self._tls = tls
        self._handshake_s = handshake_s
        # Above debugging and news: those have messages and queries in them, tokens included.
        quiet: dict[str, Any] = {
            "log_config": None, "log_level": "warning", "access_log": False, "server_header": False,
        }  # fmt: skip
        super().__init__(uvicorn.Config(app, lifespan="on", timeout_graceful_shutdown=unwind_s, **quiet, **settings))

    def stop(self) -> None:
        """Stop soon; from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on ``sockets``, and then tell the news."""
        await super().startup([])
        loop = asyncio.get_running_loop()
        # Not uvicorn's own, which waits for a minute for a caller to begin TLS.
        more: Any = {} if self._tls is None else {"ssl_handshake_timeout": self._handshake_s}
        for one in sockets or ():
            self.servers.append(
                await loop.create_server(self._protocol, sock=one, ssl=self._tls, backlog=self.config.backlog, **more)
            )
        self._ready()

    def _protocol(self) -> asyncio.Protocol:
        http: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = http(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

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
