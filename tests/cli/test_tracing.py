"""One upload is one trace: the gateway's spans, the client's, and Triton's own, at a collector of OTLP."""

import http.client
import os
import subprocess
import sys

import pytest
from collecting_spans import collecting

from emotalk_gateway.service import tracing

pytestmark = pytest.mark.server

HANG_S = 120
VOICE = "docs/demo/voice.flac"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "a-token-nobody-may-read"


@pytest.fixture(scope="module")
def traced(pytestconfig):
    """Spans of one upload with a caller's ``traceparent``, and what was sent to the collector."""
    sound = (pytestconfig.rootpath / VOICE).read_bytes()
    with collecting() as (collector, endpoint):
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        environment.pop("EMOTALK_URL", None)
        command = [sys.executable, "-m", "emotalk_cli", "gateway", "--port", "0", "--token", SECRET]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as gateway:
            try:
                port = int(gateway.stdout.readline().partition("http://127.0.0.1:")[2].partition(",")[0])
                head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'
                headers = {
                    "Content-Type": "multipart/form-data; boundary=b",
                    "Authorization": f"Bearer {SECRET}",
                    "traceparent": f"00-{TRACE}-{CALLER}-01",
                }
                line = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
                line.request("POST", "/api/v1/process-audio-stream?x=1", head + sound + b"\r\n--b--\r\n", headers)
                answer = line.getresponse()
                assert (answer.status, answer.read().count(b"timecode")) == (200, 322)
                line.close()
                spans = collector.await_(
                    lambda spans: (
                        {"emotalk-gateway", "emotalk-triton"} <= {s.service for s in spans if s.trace == TRACE}
                        and any(s.name == "POST /api/v1/process-audio-stream" for s in spans)
                        and any("postprocess" in str(s.attributes) for s in spans if s.trace == TRACE)
                    ),
                    HANG_S,
                )
            finally:
                gateway.terminate()
                gateway.wait(HANG_S)
        yield [span for span in spans if span.trace == TRACE], collector.bodies


def test_the_upload_goes_on_from_its_callers_span(traced):
    spans, _ = traced
    (upload,) = [span for span in spans if span.name == "POST /api/v1/process-audio-stream"]
    assert (upload.service, upload.parent) == ("emotalk-gateway", CALLER)
    assert upload.attributes["http.response.status_code"] == 200
    assert upload.attributes["http.route"] == "/api/v1/process-audio-stream"


def test_tritons_own_spans_hang_on_the_clients(traced):
    spans, _ = traced
    known = {span.id: span for span in spans}
    calls = [span for span in spans if span.name.endswith("/ModelInfer")]
    assert calls
    roots = [span for span in spans if span.service == "emotalk-triton" and known.get(span.parent) in calls]
    assert roots
    models = {span.attributes.get("triton.model_name") for span in spans if span.service == "emotalk-triton"}
    assert {"emotalk", "emotalk_preprocess", "wav2vec_content", "emotalk_postprocess"} <= models


def test_no_token_and_no_sound_is_in_it(traced):
    _, bodies = traced
    assert bodies
    assert not any(SECRET.encode() in body or b"fLaC" in body or b"x=1" in body for body in bodies)


def test_without_an_endpoint_nothing_is_imported(monkeypatch):
    code = (
        "import sys; from emotalk_gateway.service import tracing\n"
        "with tracing.exported('x'), tracing.span('y', {}) as span: span.tell(a=1)\n"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in tracing.ENDPOINTS}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
