"""A span for each call (semantic conventions for RPC 1.27)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import grpc

from emotalk_gateway.service.tracing import Span, span

FAILED = frozenset(
    grpc.StatusCode[name]
    for name in ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)
"""Codes that are the server's fault; others are the caller's."""


def call_span(route: str, metadata: Mapping[str, Any]) -> AbstractContextManager[Span]:
    """Return a span of a call of ``/service/method``, which goes on from the caller's in its ``metadata``."""
    _, service, method = route.split("/")
    carrier = {name: value for name, value in metadata.items() if isinstance(value, str)}
    return span(f"{service}/{method}", carrier, rpc__system="grpc", rpc__service=service, rpc__method=method)


def ended(going: Span, code: grpc.StatusCode) -> None:
    """Say in the span how its call ended."""
    going.tell(rpc__grpc__status_code=code.value[0])
    if code in FAILED:
        going.failed(code.name)
