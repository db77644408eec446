"""Spans of OpenTelemetry, where an operator wants them.

Rule that this module guards: **a trace has no sound, no text and no token in it**: names, sizes, times, classes.

``OTEL_EXPORTER_OTLP_ENDPOINT`` is all that is to be set; the other variables of OpenTelemetry's specification count
too. Without it nothing is imported, and a span is nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from emotalk_client.errors import MissingExtra

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NAME = "emotalk_gateway"

_tracer: Any = None


@contextmanager
def exported(service: str) -> Iterator[None]:
    """Export this process' spans, under the name ``service``, for as long as the block lasts; where an endpoint is set.

    Raises:
        MissingExtra: the library is not installed.
    """
    global _tracer
    if not any(os.environ.get(name) for name in ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtra(f"traces need {error.name}; install `emotalk-triton[otel]`") from error
    # Resource.create lets the variables of the specification win over what is given here.
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = trace.get_tracer(NAME)
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


class Span:
    """Something that goes on; does nothing where nobody wants to know."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def named(self, name: str) -> None:
        """Give it a better name."""
        if self._span is not None:
            self._span.update_name(name)

    def tell(self, **attributes: str | int | float) -> None:
        """Add ``attributes``; ``__`` in a name stands for a dot."""
        if self._span is not None:
            self._span.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def failed(self, error_class: str) -> None:
        """Mark it as failed of ``error_class``."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_attribute("error.type", error_class)
            self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def span(name: str, carrier: Mapping[str, str], kind: str = "SERVER", **attributes: str | int) -> Iterator[Span]:
    """Yield a span that goes on from the caller's, whose ``traceparent`` is in ``carrier``.

    Args:
        name: of few values.
        carrier: headers of the request, in lower case.
        kind: of :class:`opentelemetry.trace.SpanKind`.
        attributes: as :meth:`Span.tell`.
    """
    if _tracer is None:
        yield Span()
        return
    from opentelemetry import propagate, trace

    parent = propagate.extract(carrier)
    with _tracer.start_as_current_span(
        name, context=parent, kind=trace.SpanKind[kind], record_exception=False, set_status_on_exception=False
    ) as started:
        made = Span(started)
        made.tell(**attributes)
        yield made
