"""A span for each call, where the program that uses this client has OpenTelemetry; nothing otherwise.

Rule that this module guards: **a trace has no sound in it, no text and no token**: names, sizes and times only.

The library is not asked for: who uses it has imported it, and its own settings say where spans go. The span's context
travels with the call as ``traceparent`` (W3C Trace Context), which Triton's own spans go on from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAME = "emotalk_client"
API = "opentelemetry.trace"


@contextmanager
def call_span(method: str, model: str, address: str, port: int) -> Iterator[list[tuple[str, str]]]:
    """Yield the metadata that a call takes along, in a span of its own (semantic conventions for RPC 1.27)."""
    if API not in sys.modules:
        yield []
        return
    from opentelemetry import propagate, trace

    attributes: dict[str, Any] = {
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": method,
        "server.address": address,
        "server.port": port,
        "emotalk.model": model,
    }
    tracer = trace.get_tracer(NAME)
    name = f"{attributes['rpc.service']}/{method}"
    with tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        yield list(carrier.items())
