"""Triton's own spans of OpenTelemetry: of the ensemble and of each step, with queue and compute times.

A request that brings a ``traceparent`` is a part of its caller's trace. Spans have names, times and sizes; no tensors.
"""

from __future__ import annotations

import os

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""Of OpenTelemetry's specification: ``http://host:4318``."""
SERVICE = "emotalk-triton"


def endpoint() -> str | None:
    """Return what the environment says; None: no traces."""
    base = os.environ.get(ENDPOINT)
    return f"{base.rstrip('/')}/v1/traces" if base else None


def options(url: str) -> list[str]:
    """Return what sends spans to ``url``, on Triton's command line."""
    settings = ("mode=opentelemetry", "level=TIMESTAMPS", "rate=1")
    own = (f"opentelemetry,url={url}", f"opentelemetry,resource=service.name={SERVICE}")
    return [f"--trace-config={setting}" for setting in (*settings, *own)]
