"""References to buckets: boto3 itself, and a server on this machine that answers as S3 does."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from queueing import nowhere

from emotalk_gateway.kafka.references import Allowed, InvalidReference, ReferenceUnavailable, fetched
from emotalk_gateway.service.errors import UploadTooLarge

pytestmark = pytest.mark.unit

OBJECTS = {"/speech/a%20b/hello.flac": b"sound", "/speech/large": bytes(5000)}
STATUSES = {"/speech/denied": (403, "AccessDenied"), "/speech/slow": (503, "SlowDown")}
ALLOWED = Allowed(buckets=frozenset({"speech"}))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        status, code = STATUSES.get(path, (404, "NoSuchKey"))
        body = OBJECTS.get(path) or f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
        self.send_response(200 if path in OBJECTS else status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def account(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with serving() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        yield


def test_an_object_is_fetched():
    assert fetched(b"s3://speech/a%20b/hello.flac", ALLOWED, 1000).read() == b"sound"


@pytest.mark.parametrize(
    ("reference", "kind", "words"),
    [
        (b"s3://other/hello.flac", InvalidReference, "accepted buckets: speech"),
        (b"s3://speech/", InvalidReference, "names no object"),
        (b"s3://speech/" + b"x" * 1025, InvalidReference, "names no object"),
        (b"s3://speech/none", InvalidReference, "answered with 404"),
        (b"s3://speech/denied", InvalidReference, "answered with 403"),
        (b"s3://speech/large", UploadTooLarge, "more than 1000 bytes"),
        (b"s3://speech/slow", ReferenceUnavailable, "answered with 503"),
    ],
)
def test_what_cannot_be_fetched_says_why(reference, kind, words):
    with pytest.raises(kind, match=words):
        fetched(reference, ALLOWED, 1000)


def test_a_store_that_is_away_is_tried_later(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{nowhere()}")
    with pytest.raises(ReferenceUnavailable, match="cannot be fetched now"):
        fetched(b"s3://speech/large", ALLOWED, 1000)
