"""Callers that send without end, slowly or never, or do not read: the others are served, and memory stays."""

import http.client
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack

import numpy as np
import psutil
import pytest
from asking import CHUNKS, RATE, STREAM, VOICE, face, form
from waiting import until

from emotalk_gateway.listening.hosts import KnownHosts
from emotalk_gateway.service import faces
from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

GUARD_S = 20
"""Seconds after which a test gives up."""


@pytest.fixture
def second(wav, voice):
    return wav(voice[:RATE])


@pytest.fixture
def held():
    with ExitStack() as stack:
        yield stack


def opened(held, gateway, data, window=None):
    """A connection that has sent ``data``."""
    raw = held.enter_context(socket.socket())
    if window is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    raw.settimeout(GUARD_S)
    raw.connect(("127.0.0.1", gateway.port))
    raw.sendall(data)
    return raw


def last_words(raw):
    """All that comes until the connection ends."""
    said = b""
    try:
        while piece := raw.recv(65536):
            said += piece
    except ConnectionError:
        pass
    return said


def head(path, kind="multipart/form-data; boundary=x", length=100_000):
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
    )


@pytest.mark.parametrize(
    ("start", "error"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"431 Request Header Fields Too Large"),
        (b"GET /", b"414 Request-URI Too Long"),
        (b"POST /process-audio/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"431"),
    ],
)
def test_what_comes_before_a_request_is_bounded(gateway, held, second, start, error):
    raw = opened(held, gateway, start)
    sent = 0
    try:
        while sent < 50 * 2**20:
            raw.sendall(bytes(b"a" * 65536))
            sent += 65536
    except ConnectionError:
        pass
    assert sent < 20 * 2**20  # what lies in the buffers of sockets
    assert gateway.post(STREAM, second).status == 200


def test_a_head_that_is_too_large_is_said(gateway):
    for path, headers, status, error in (
        ("/" + "a" * 70_000, {}, 414, "UrlTooLong"),
        ("/", {"X": "a" * 60_000, "Y": "a" * 10_000}, 431, "HeadersTooLarge"),
    ):
        answer = gateway.get(path, **headers)
        assert (answer.status, answer.json["error"]) == (status, error)
    raw = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=GUARD_S)
    raw.putrequest("GET", "/", skip_host=True)
    raw.putheader("a b", "c")
    raw.endheaders()
    answer = raw.getresponse()
    assert (answer.status, b"MalformedRequest" in answer.read()) == (400, True)
    raw.close()


def test_headers_that_do_not_come_are_given_up(gateway_to, held):
    with gateway_to(header_timeout_s=0.3) as gateway:
        assert last_words(opened(held, gateway, b"GET / HTTP/1.1\r\n")).startswith(b"HTTP/1.1 408")
        assert last_words(opened(held, gateway, b"")) == b""


def test_the_one_that_was_waited_for_longest_makes_room(gateway_to, held, second, monkeypatch):
    from emotalk_gateway.listening import protocol

    monkeypatch.setattr(protocol, "LEAST_HEAD_S", 0)
    with gateway_to(max_connections=4) as gateway:
        raws = [opened(held, gateway, b"GET / HTTP/1.1\r\nHost: local") for _ in range(4)]
        until(lambda: len(gateway.server.open) == 4, "the connections were not made")
        assert gateway.post(STREAM, second).status == 200
        assert gateway.get("/health/ready").status == 200
        assert last_words(raws[0]) == b""
        raws[3].sendall(b"host\r\nConnection: close\r\n\r\n")
        assert last_words(raws[3]).startswith(b"HTTP/1.1 200")


def test_bodies_that_come_slowly_take_no_room(gateway_to, held, second):
    with gateway_to(max_requests=2, body_timeout_s=1) as gateway:
        slow = [opened(held, gateway, head(STREAM) + b"--x\r\n") for _ in range(8)]
        assert gateway.post(STREAM, second).status == 200
        assert gateway.get("/health/ready").status == 200
        for raw in slow:
            assert b"RequestTooSlow" in last_words(raw)


def test_a_body_below_the_least_rate_is_given_up(gateway_to, held):
    with gateway_to(body_timeout_s=0.5, min_body_bytes_per_s=1000) as gateway:
        raw = opened(held, gateway, head(STREAM) + b"--x\r\n")
        over = threading.Event()

        def drip():
            while not over.wait(0.05):
                try:
                    raw.send(b"a")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        said = last_words(raw)
        over.set()
        dripping.join()
        assert b"bytes of the body came in" in said


def test_callers_that_never_read_let_others_run(gateway_to, held, wav, voice, second):
    body, kind = form(wav(np.resize(voice, 900 * RATE)), "file", {})
    with gateway_to(max_computing=2, max_requests=3, send_timeout_s=2) as gateway:
        for _ in range(2):
            opened(held, gateway, head(STREAM, kind, len(body)) + body, window=4096)
        until(lambda: gateway.wire.began, "nobody began")
        assert len(face(gateway.post(STREAM, second).body)[0]) == 30
        until(lambda: len(gateway.server.open) == 0, "who does not read keeps the connection")
        gateway.settle()


async def test_one_that_has_run_for_long_lets_those_who_wait_run_first():
    import asyncio

    from emotalk_gateway.service.capacity import Capacity

    capacity, order = Capacity("uploads", 9, 1), []

    async def short():
        async with capacity.run():
            order.append("short")

    async with capacity.run() as long:
        waiting = asyncio.create_task(short())
        await asyncio.sleep(0)
        await long.share(3600)
        order.append("long")
        await long.share(0)
        order.append("long again")
    await waiting
    assert order == ["long", "short", "long again"]
    assert faces.SHARE_S > 0


@pytest.mark.parametrize(
    "spelt", ['name="{}"', "name={}", "name=\"{}\"; filename*=UTF-8''x.flac", 'name="{}"; filename=""']
)
@pytest.mark.parametrize(("path", "part"), [(STREAM, "file"), (CHUNKS, "audio_file")])
def test_a_file_is_a_file_however_its_part_is_spelt(gateway, path, part, spelt):
    disposition = f"--edge\r\nContent-Disposition: form-data; {spelt.format(part)}\r\n\r\n".encode()
    body = disposition + VOICE.read_bytes() + b"\r\n--edge--\r\n"
    answer = gateway.ask("POST", path, body, {"Content-Type": "multipart/form-data; boundary=edge"})
    assert answer.status == 200, answer.body[:300]


def test_nested_options_are_refused_in_words(gateway, second):
    for depth in (10**3, 10**4, 10**6):
        answer = gateway.post(STREAM, second, emotions="[" * depth)
        assert (answer.status, answer.json["error"]) == (400, "InvalidUpload")
        assert len(answer.body) < 1000


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
def test_a_foreign_name_is_refused(gateway, held, host):
    for path in ("/", "/health/live", "/api/v1/capabilities"):
        answer = gateway.ask("GET", path, headers={"Host": host})
        assert (answer.status, answer.json["error"]) == (421, "HostNotAllowed")
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAA"
    )
    raw = opened(held, gateway, f"GET /ws/stream HTTP/1.1\r\nHost: {host}\r\n{upgrade}AAAAAAAAAA==\r\n\r\n".encode())
    assert raw.recv(100).startswith(b"HTTP/1.1 421")


def test_names_of_this_machine_and_those_it_was_told_of():
    known = KnownHosts(["faces.example.org", "*.local"])
    own = socket.gethostname()
    for host in (
        "localhost",
        "LOCALHOST:80",
        "a.localhost",
        "127.0.0.1:8080",
        "[::1]:8080",
        "10.1.2.3",
        own,
        "faces.example.org",
        "x.local",
    ):
        assert known.allows(host), host
    for host in ("", "example.org", "a.faces.example.org", "local", "[::1", "localhost:80:80", "a@localhost"):
        assert not known.allows(host), host
    assert KnownHosts(["*"]).allows("anything.example")


def test_every_answer_may_be_read_by_pages_that_are_named(gateway_to, second, monkeypatch):
    with gateway_to(cors_origins=["https://example.org"]) as gateway:

        def fails():
            raise RuntimeError("a secret")

        monkeypatch.setattr(gateway.service.metrics, "exposition", fails)
        monkeypatch.setattr(gateway.service.uploads, "check", fails)
        page = {"Origin": "https://example.org"}
        for answer in (
            gateway.get("/metrics", **page),
            gateway.post(STREAM, second, page),
            gateway.get("/nowhere", **page),
            gateway.ask("GET", "/", headers={**page, "Host": "evil.example"}),
            gateway.ask("POST", STREAM, b"x" * 10, {**page, "Content-Encoding": "gzip"}),
        ):
            assert answer.headers["access-control-allow-origin"] == "https://example.org", answer
        assert gateway.get("/metrics").json["error"] == "InternalError"
        assert "secret" not in gateway.get("/metrics").body.decode()


def test_a_compressed_body_is_refused_in_words(gateway, second):
    body, kind = form(second, "file", {})
    for path in (STREAM, "/api/v1/convert?format=csv"):
        answer = gateway.ask("POST", path, body, {"Content-Type": kind, "Content-Encoding": "gzip"})
        assert (answer.status, answer.json["error"]) == (415, "UnsupportedEncoding")
        assert "'gzip'" in answer.json["message"]


def test_head_is_answered_where_get_is(gateway):
    for path in ("/", "/metrics", "/health/live", "/ready", "/head.glb", "/static/main.js", "/api/v1/capabilities"):
        answer = gateway.ask("HEAD", path)
        assert (answer.status, answer.body) == (200, b""), path
        assert answer.headers["content-length"] == gateway.get(path).headers["content-length"] or path == "/metrics"
    assert gateway.ask("HEAD", STREAM).status == 405


def test_the_three_truths_of_health(gateway_to, wav, voice):
    """Over a server that stands still, goes on, and dies."""
    with EmbeddedServer(supervised=False) as server, gateway_to(server.grpc_url, health_timeout_s=3) as gateway:

        def ready():
            began = time.monotonic()
            statuses = {gateway.get(path).status for path in ("/ready", "/health/ready", "/v1/health/ready")}
            assert time.monotonic() - began < GUARD_S / 2
            assert len(statuses) == 1
            return statuses == {200}

        assert ready()
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            assert not ready()  # at once: nothing that was true before is said again
            assert gateway.get("/health").status == 504
            assert gateway.get("/health/live").status == gateway.get("/v1/health/live").status == 200
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        until(ready, "the server goes on, and is not ready")
        server.stop()
        assert not ready()
        assert gateway.get("/health/live").status == 200
        assert gateway.get("/health").status in (503, 504)


def test_a_full_gateway_is_not_ready_but_alive(gateway_to):
    with gateway_to(max_requests=1) as gateway, gateway.service.uploads.admit():
        assert gateway.get("/health/ready").json["error"] == "GatewayFull"
        assert gateway.get("/health/live").status == 200


def test_a_long_clip_is_written_by_another_process(gateway):
    row = "[" + ",".join(["0.25"] * 52) + "]"
    frames = 5000
    body = '{"fps": 60, "blendshapes": [' + ",".join([row] * frames) + "]}"
    answer = gateway.ask("POST", "/api/v1/convert?format=jsonl", body)
    assert answer.status == 200, answer.body
    assert len(answer.body.splitlines()) == frames
    assert gateway.service.bodies.held == 0


def test_memory_stays_whatever_is_uploaded(gateway):
    """Bodies that were held whole, or parsed whole, would take gigabytes."""
    before = psutil.Process().memory_info().rss
    bodies = [
        (STREAM, *form(b"AB " * (20 * 10**6), "file", {})),
        ("/api/v1/convert?format=csv", b'{"blendshapes": [[' + b"0," * (30 * 10**6), "application/json"),
        ("/api/v1/convert?format=csv", b'{"blendshapes": [' + b"[0]," * (15 * 10**6), "application/json"),
    ]
    own = psutil.Process().memory_info().rss - before
    most = [0]
    over = threading.Event()

    def watch():
        while not over.wait(0.01):
            most[0] = max(most[0], psutil.Process().memory_info().rss - before - own)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for path, body, kind in bodies:
            assert gateway.ask("POST", path, body, {"Content-Type": kind}).status in (400, 415)
    finally:
        over.set()
        watching.join()
    assert most[0] < 200 * 2**20
    gateway.settle()
    assert gateway.service.bodies.held == 0
