"""``GET /metrics``."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_gateway.listening.access import check_header
from emotalk_gateway.service.metrics import CONTENT_TYPE
from emotalk_gateway.service.service import Service


def add_metrics(app: FastAPI, service: Service) -> None:
    """Add the route; where callers have names, which are in the figures, it needs the scope ``admin``."""

    @app.get("/metrics", tags=["operators"], response_class=Response)
    async def read(request: Request) -> Response:
        """Counters and gauges in Prometheus' text format."""
        if service.access.named:
            check_header(request, service, "admin")
        return Response(service.metrics.exposition(), media_type=CONTENT_TYPE)
