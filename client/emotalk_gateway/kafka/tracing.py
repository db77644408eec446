"""A span for each request of the queue, all its tries included (semantic conventions for messaging 1.27)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from emotalk_gateway.kafka.records import Place, text_of
from emotalk_gateway.service.tracing import Span, span


def work_span(place: Place, headers: Iterable[tuple[str, Any]]) -> AbstractContextManager[Span]:
    """Return a span of the request at ``place``, which goes on from its sender's in its ``headers``."""
    carrier = {name: value.decode("latin-1") for name, value in text_of(headers).items()}
    return span(
        f"process {place.topic}",
        carrier,
        "CONSUMER",
        messaging__system="kafka",
        messaging__operation__type="process",
        messaging__destination__name=place.topic,
        messaging__destination__partition__id=str(place.partition),
        messaging__kafka__message__offset=place.offset,
    )
