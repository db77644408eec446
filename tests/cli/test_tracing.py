"""One upload is one trace: the gateway's spans, the client's, and Triton's own, at a collector of OTLP."""

import http.client
import os
import subprocess
import sys

import grpc
import pytest
from broker import topics
from collecting_spans import collecting
from queueing import QUICK, Reader, send
from waiting import until

from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service import tracing

pytestmark = pytest.mark.server

HANG_S = 120
VOICE = "docs/demo/voice.flac"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = "1af7651916cd43dd8448eb211c80319d"
"""Another trace."""
SECRET = "a-token-nobody-may-read"
TOPIC = {"requests": "--topic", "frames": "--results", "dead": "--dead"}
METHOD = "emotalk.EmoTalkService/ProcessAudio"


@pytest.fixture(scope="module")
def traced(pytestconfig):
    """Spans of one upload with a caller's ``traceparent``, and what was sent to the collector."""
    sound = (pytestconfig.rootpath / VOICE).read_bytes()
    with collecting() as (collector, endpoint):
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        environment.pop("EMOTALK_URL", None)
        command = [sys.executable, "-m", "emotalk_cli", "gateway", "--port", "0", "--token", SECRET]
        command += ["--emotalk-port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as gateway:
            try:
                said = gateway.stdout.readline()
                port = int(said.partition("http://127.0.0.1:")[2].partition(",")[0])
                call(said.partition("EmoTalk ")[2].partition(",")[0], sound)
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
                        and any(s.name == METHOD for s in spans)
                    ),
                    HANG_S,
                )
            finally:
                gateway.terminate()
                gateway.wait(HANG_S)
        yield [span for span in spans if span.trace in (TRACE, CALLED)], collector.bodies


def call(door, sound):
    """Ask the EmoTalk service's door for a face, and once without a token."""
    asked, answer = message("emotalk.AudioRequest"), message("emotalk.BlendshapeResponse")
    parent = ("traceparent", f"00-{CALLED}-{CALLER}-01")
    with grpc.insecure_channel(door) as channel:
        method = channel.unary_stream(f"/{METHOD}", asked.SerializeToString, answer.FromString)
        metadata = [("authorization", f"Bearer {SECRET}"), parent]
        answers = list(method(asked(audio_data=sound), metadata=metadata, timeout=HANG_S))
        assert sum(len(one.frames) for one in answers) == 322
        with pytest.raises(grpc.RpcError):
            list(method(asked(audio_data=sound), metadata=[parent], timeout=HANG_S))


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


def test_a_call_of_a_grpc_door_is_a_span_too(traced):
    spans, _ = traced
    found = sorted(
        (span for span in spans if span.name == METHOD), key=lambda one: int(one.attributes["rpc.grpc.status_code"])
    )
    served, refused = found
    assert (served.trace, served.parent, served.attributes["rpc.system"]) == (CALLED, CALLER, "grpc")
    assert [int(one.attributes["rpc.grpc.status_code"]) for one in found] == [0, 16]
    assert "error.type" not in refused.attributes  # it is the caller's
    asked = [span for span in spans if span.name.endswith("/ModelInfer") and span.parent == served.id]
    assert asked


def test_a_request_of_the_queue_is_a_span_of_the_worker(broker, bundled_server, pytestconfig):
    sound = (pytestconfig.rootpath / VOICE).read_bytes()
    queue = topics(broker, partitions=1)
    parent = [("traceparent", f"00-{TRACE}-{CALLER}-01".encode())]
    with collecting() as (collector, endpoint), Reader(broker.address, queue, partitions=1) as reader:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        names = [text for option in ("requests", "frames", "dead") for text in (TOPIC[option], queue[option])]
        command = [sys.executable, "-m", "emotalk_cli", "worker", "--brokers", broker.address, *names]
        command += ["--url", bundled_server.grpc_url, "--health-port", "0"]
        command += [word for name, value in QUICK.items() for word in ("--librdkafka", f"{name}={value}")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as worker:
            try:
                assert "ready" in worker.stdout.readline()
                send(broker.address, queue["requests"], (sound, b"k", parent), (b"no sound", b"k", parent))
                until(lambda: reader.poll() or (reader.finals and reader.dead))
                spans = collector.await_(lambda spans: sum(s.name.startswith("process ") for s in spans) == 2, HANG_S)
            finally:
                worker.terminate()
                worker.wait(HANG_S)
    done, dead = [span for span in spans if span.name == f"process {queue['requests']}"]
    assert {(one.service, one.trace, one.parent) for one in (done, dead)} == {("emotalk-worker", TRACE, CALLER)}
    assert "error.type" not in done.attributes
    assert dead.attributes["error.type"] == "UnreadableAudio"
    assert [int(one.attributes["messaging.kafka.message.offset"]) for one in (done, dead)] == [0, 1]
    assert [span for span in spans if span.name.endswith("/ModelInfer") and span.parent == done.id]


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
