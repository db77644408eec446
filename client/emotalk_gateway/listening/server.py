"""Serves an application on a socket, and stops when it is told to."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


class WebServer(uvicorn.Server):
    """``app`` (ASGI) on a socket; :meth:`run` returns when it was stopped.

    Args:
        unwind_s: seconds that a caller may keep it from ending.
        ready: called once, when requests are served.
        settings: more of uvicorn's.
    """

    def __init__(self, app: Any, unwind_s: int, ready: Callable[[], None], **settings: Any) -> None:
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
