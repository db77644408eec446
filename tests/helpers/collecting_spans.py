"""A collector of OpenTelemetry's spans: what Python's exporter sends (protobuf) and what Triton does (JSON)."""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict


class Collector:
    def __init__(self):
        self.spans, self.bodies, self.change = [], [], threading.Condition()

    def take(self, kind, body):
        found = list(_of_json(json.loads(body)) if "json" in kind else _of_protobuf(body))
        with self.change:
            self.spans += found
            self.bodies.append(body)
            self.change.notify_all()

    def await_(self, condition, seconds=60):
        with self.change:
            assert self.change.wait_for(lambda: condition(self.spans), seconds), self.spans
            return list(self.spans)


def _of_protobuf(body):
    asked = ExportTraceServiceRequest.FromString(body)
    for resource in asked.resource_spans:
        service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
                yield Span(
                    service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), attributes
                )


def _of_json(asked):
    for resource in asked["resourceSpans"]:
        named = {a["key"]: a["value"] for a in resource["resource"]["attributes"]}
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                attributes = {a["key"]: next(iter(a["value"].values())) for a in span.get("attributes", [])}
                yield Span(
                    named["service.name"]["stringValue"],
                    span["name"],
                    span["traceId"],
                    span["spanId"],
                    span.get("parentSpanId", ""),
                    attributes,
                )


@contextmanager
def collecting():
    """Yield a collector and its endpoint."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):  # the library's
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(self.headers["Content-Type"], body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
