"""A page for one result, and nothing else: ``emotalk view``."""

from __future__ import annotations

import socket
from collections.abc import Callable

from fastapi import FastAPI

from emotalk_gateway.listening.hosts import HostCheck, KnownHosts
from emotalk_gateway.listening.secure import SecureHeaders
from emotalk_gateway.listening.server import WebServer
from emotalk_gateway.page.viewer import ShownResult, add_viewer

UNWIND_S = 1
"""Seconds that a browser which still loads the sound may keep the command from ending."""


def serve(result: ShownResult, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve a page that shows ``result`` on ``listening`` until SIGINT or SIGTERM; ``ready`` is called once it is."""
    app = FastAPI(title="emotalk", docs_url=None, redoc_url=None, openapi_url=None)
    add_viewer(app, result)
    app.add_middleware(HostCheck, known=KnownHosts())
    app.add_middleware(SecureHeaders)
    WebServer(app, UNWIND_S, ready).run(sockets=[listening])
