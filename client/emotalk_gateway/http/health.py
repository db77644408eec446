"""``GET /health`` and ``GET /ready``: is there a face to be had, and is there room?"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI

from emotalk_client.errors import DeadlineExceeded
from emotalk_client.wire.health import Health
from emotalk_gateway.service.errors import GatewayFull, GatewayStopping
from emotalk_gateway.service.service import Service


def add_health(app: FastAPI, service: Service) -> None:
    """Add the routes; they need no token."""
    checks = _Checks(service)

    @app.get("/health", tags=["operators"])
    async def health() -> dict[str, Any]:
        """A clip was inferred just now; 503 or 504 if none can be."""
        found = await checks.health()
        return {"status": "ok", "model": found.model, "latency_s": found.latency_s}

    @app.get("/ready", tags=["operators"])
    async def ready() -> dict[str, Any]:
        """Whether one more upload would be let in, and the server says what it serves; 503 if not."""
        if service.stopping.is_set():
            raise GatewayStopping("the gateway stops; try again later")
        if service.uploads.full:
            raise GatewayFull(f"{service.uploads.admitted} uploads are being served; accepted: no more at once")
        await checks.within_time(service.client.describe())
        return {"status": "ok", "uploads": service.uploads.admitted, "streams": service.streams.admitted}


class _Checks:
    """However many ask at once, one clip is inferred."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._running: asyncio.Task[Health] | None = None

    async def health(self) -> Health:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self.within_time(self._service.client.health()))
            self._running.add_done_callback(_seen)
        return await asyncio.shield(self._running)

    async def within_time(self, asking: Any) -> Any:
        allowed = self._service.settings.health_timeout_s
        try:
            return await asyncio.wait_for(asking, allowed)
        except asyncio.TimeoutError as error:
            raise DeadlineExceeded(f"no answer within {allowed:g} s") from error


def _seen(checked: asyncio.Task[Health]) -> None:
    """Whoever asked may be gone; what went wrong is then nobody's to hear."""
    if not checked.cancelled():
        checked.exception()
