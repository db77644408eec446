"""A page for one result, and nothing else: ``emotalk view``."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import uvicorn
from fastapi import FastAPI

from emotalk_client.gateway.viewer import ShownResult, add_viewer

UNWIND_S = 1
"""Seconds that a browser which still loads the sound may keep the command from ending."""


def create_result_app(result: ShownResult, ready: Callable[[], None] = lambda: None) -> FastAPI:
    """The page, showing ``result``; ``ready`` is called once, when it is about to be served."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        ready()
        yield

    app = FastAPI(title="emotalk", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_viewer(app, result)
    return app


def serve(result: ShownResult, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve :func:`create_result_app` on ``listening`` until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        create_result_app(result, ready),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=UNWIND_S,
    )
    with suppress(KeyboardInterrupt):  # which uvicorn raises again once it has stopped
        uvicorn.Server(config).run(sockets=[listening])
