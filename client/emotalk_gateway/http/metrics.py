"""``GET /metrics``."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from emotalk_gateway.service.metrics import CONTENT_TYPE, Metrics


def add_metrics(app: FastAPI, metrics: Metrics) -> None:
    """Add the route."""

    @app.get("/metrics", tags=["operators"], response_class=Response)
    def read() -> Response:
        """Counters and gauges in Prometheus' text format."""
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)
