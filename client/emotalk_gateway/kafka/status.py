"""A worker's health and figures over HTTP, on a port of its own.

====================  ===========================================================  =====================
``/health/live``      its threads run: one polls, one runs the event loop          may cause a restart
``/health/ready``     the group has let it in; the broker and Triton answer        for people and alarms
``/health``           an inference gave a face                                     for people and alarms
``/metrics``          Prometheus' text format
====================  ===========================================================  =====================
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from emotalk_gateway.kafka.metrics import CONTENT_TYPE
from emotalk_gateway.kafka.worker import STILL_S, Worker
from emotalk_gateway.service.errors import AddressInUse, CannotListen

logger = logging.getLogger(__name__)

READ_S = 5.0
READY_S, DEEP_S = 1.0, 10.0
"""Seconds in which Triton must answer."""
ASKED_S = 15.0
LOOP_S = 5.0
"""Seconds in which the event loop must come to a question."""


@contextmanager
def served(worker: Worker, host: str, port: int) -> Iterator[None]:
    """Answer for ``worker`` for as long as the block lasts.

    Raises:
        AddressInUse, CannotListen: nobody can be answered there.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_S

        def do_GET(self) -> None:
            status, kind, body = answer(worker, self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the library's name
            logger.debug(format, *arguments)

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        kind = AddressInUse if "in use" in str(error) else CannotListen
        raise kind(f"{host}:{port} cannot be listened on ({error.strerror}); choose another --health-port") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="emotalk-status", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def answer(worker: Worker, path: str) -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    path = path.partition("?")[0].removeprefix("/v1")
    if path == "/metrics":
        return HTTPStatus.OK, CONTENT_TYPE, worker.metrics.exposition()
    checks = {"/health/live": _live, "/health/ready": _ready, "/health": _deep}
    if path not in checks:
        return HTTPStatus.NOT_FOUND, "application/json", b'{"error": "NotFound"}'
    why = checks[path](worker)
    status = HTTPStatus.OK if not why else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps({"status": "ok"} if not why else {"error": why}).encode()


def _live(worker: Worker) -> str:
    if worker.still_s > STILL_S:
        return f"nothing was polled for {worker.still_s:.0f} s"
    if not worker.loop.is_running():
        return "the event loop does not run"
    try:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), worker.loop).result(LOOP_S)
    except (TimeoutError, concurrent.futures.TimeoutError):  # two classes until Python 3.11
        return f"the event loop stood still for {LOOP_S:g} s"
    return ""


def _ready(worker: Worker) -> str:
    if worker.stopping:
        return "it stops"
    if not worker.assigned.is_set():
        return "the group has not let it in yet"
    if why := worker.hearing.fault():
        return why
    return _asked(worker, lambda client: client.ready(READY_S))


def _deep(worker: Worker) -> str:
    return _ready(worker) or _asked(worker, lambda client: asyncio.wait_for(client.health(), DEEP_S))


def _asked(worker: Worker, question: Any) -> str:
    """Return why Triton does not answer ``question``, or nothing."""
    if worker.service is None:
        return "it starts"
    try:
        asyncio.run_coroutine_threadsafe(question(worker.service.client), worker.loop).result(ASKED_S)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"
    return ""
