"""Three truths of health: alive (this process), ready (there is room, and every model answers), deep (an inference).

Only the first may cause a restart.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from emotalk_gateway.http.greeting import TITLE, version
from emotalk_gateway.service.health import Health
from emotalk_gateway.service.service import Service

AS_OTHERS_SAY = {"service": TITLE, "version": version(), "grpc_status": "healthy", "streaming_manager": "initialized"}
"""Of a gateway that is well, as the EmoTalk gateway and the Audio2Face streaming server say it."""


def add_health(app: FastAPI, service: Service) -> None:
    """Add the routes; they need no token."""
    checks = Health(service)

    @app.get("/health/live", tags=["operators"])
    @app.get("/v1/health/live", tags=["operators"])
    async def live() -> dict[str, Any]:
        """This process answers; says nothing of the face server."""
        return {"status": "ok"}

    @app.get("/health/ready", tags=["operators"])
    @app.get("/v1/health/ready", tags=["operators"])
    @app.get("/ready", tags=["operators"])
    async def ready() -> dict[str, Any]:
        """One more upload would be served: there is room here, and the face server said just now that it is ready; 503
        or 504 if not.
        """
        await checks.ready()
        return {"status": "ok", "uploads": service.uploads.admitted, "streams": service.streams.admitted}

    @app.get("/health", tags=["operators"])
    async def health() -> dict[str, Any]:
        """A clip was inferred just now; 503 or 504 if none can be."""
        found = await checks.deep()
        return {"status": "ok", "model": found.model, "latency_s": found.latency_s, **AS_OTHERS_SAY}
