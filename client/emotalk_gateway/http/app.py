"""The application: which module serves which path, and how errors are said."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from inspect import signature
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emotalk_client.errors import EmoTalkError, InvalidRequest
from emotalk_gateway.http.audio2face import add_audio2face
from emotalk_gateway.http.avatar_video import add_avatar_video
from emotalk_gateway.http.avatars import add_avatars
from emotalk_gateway.http.capabilities import add_capabilities
from emotalk_gateway.http.convert import add_convert
from emotalk_gateway.http.head import HeadAsGet
from emotalk_gateway.http.health import add_health
from emotalk_gateway.http.metrics import add_metrics
from emotalk_gateway.http.saying import add_saying
from emotalk_gateway.http.sse import add_sse
from emotalk_gateway.http.websocket import add_websocket
from emotalk_gateway.listening.answers import answer
from emotalk_gateway.listening.auditing import Audited
from emotalk_gateway.listening.hosts import HostCheck, KnownHosts
from emotalk_gateway.listening.lifetime import Lifetime
from emotalk_gateway.listening.secure import SecureHeaders
from emotalk_gateway.listening.tracing import Traced
from emotalk_gateway.service.errors import framework_problem
from emotalk_gateway.service.service import Service

Application: TypeAlias = FastAPI


def http_app(service: Service) -> Application:
    """Return the routes to ``service``; it closes the service's client when it ends."""
    settings = service.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await service.client.close()

    app = FastAPI(title="emotalk", description=_DESCRIPTION, lifespan=lifespan, redoc_url=None, **_OWN_SPANS)
    app.state.service = service
    app.add_middleware(Lifetime, service=service)
    app.add_middleware(HeadAsGet)
    app.add_middleware(HostCheck, known=KnownHosts(settings.allowed_hosts), told=service.told)
    app.add_middleware(Traced)
    app.add_middleware(SecureHeaders)
    app.add_middleware(Audited)
    if settings.cors_origins:  # outside of the others, so that its refusals can be read by a page too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["Retry-After", "Content-Disposition", "X-Request-Id"],
        )
    _add_errors(app, service)
    add_capabilities(app, service)
    add_sse(app, service)
    add_audio2face(app, service)
    add_websocket(app, service)
    add_convert(app, service)
    add_saying(app, service)
    add_avatars(app, service)
    add_avatar_video(app, service)
    add_health(app, service)
    add_metrics(app, service)
    return app


_OWN_SPANS: dict[str, Any] = (
    {"telemetry": {"tracing": False, "metrics": False}} if "telemetry" in signature(FastAPI).parameters else {}
)
"""Newer FastAPIs trace by themselves, queries included; :mod:`emotalk_gateway.listening.tracing` says less."""
_DESCRIPTION = "Speech in, a living face out: 52 ARKit blendshapes over HTTP, Server-Sent Events and WebSocket."


def _add_errors(app: FastAPI, service: Service) -> None:
    async def said(_: Request, error: Exception) -> Response:
        return answer(service.problem(error), service.settings.retry_after_s)

    async def framework(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
        problem = framework_problem(error.status_code, error.detail)
        service.metrics.rejected(problem.error)
        return JSONResponse(problem.http_body(), problem.status, dict(error.headers or {}))

    for kind in (EmoTalkError, InvalidRequest):  # the rest is said by Lifetime
        app.add_exception_handler(kind, said)
    app.add_exception_handler(HTTPException, framework)
