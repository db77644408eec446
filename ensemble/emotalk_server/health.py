"""Three truths about a server's health, over HTTP on a port of its own.

====================  ===========================================================  =====================
``/health/live``      the supervisor runs, and Triton does or is being started     may cause a restart
``/health/ready``     every process lives, Triton answers, and there is room       may cause no traffic
``/health``           an inference gave a face, and how long it took               for people and alarms
====================  ===========================================================  =====================

200 or 503, with JSON that says why; the same under ``/v1``. The first two look at processes only and answer at once,
whatever the load; the last has a time limit.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from emotalk_contract.limits import QUEUE_SIZE
from emotalk_server.embedded import EmbeddedServer
from emotalk_server.errors import InvalidAddress, PortInUse, ServerStartError
from emotalk_server.ports import check_port, reachable
from emotalk_server.probing import PATHS, ProbeFailed

logger = logging.getLogger(__name__)

SILENT_S = 3.5
"""Seconds without an answer from Triton after which it is not ready: one look that failed, and its time-out."""
FULL = 0.9
"""Share of the queue that waits when there is no room for more: what is on its way is not counted as waiting."""
DEEP_WITHIN_S = 8.0
MAX_CALLERS, MAX_DEEP_CALLERS = 32, 2
READ_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """One truth."""

    good: bool
    why: str
    latency_s: float | None = None
    """Of the inference, where there was one."""


def live(server: EmbeddedServer) -> Health:
    """Return whether a restart would be in vain: all that can be started is there, or is being started."""
    supervisor = server.supervisor
    if supervisor is None:
        return Health(good=True, why="starting")
    if not supervisor.alive:
        return Health(good=False, why="the supervisor ended")
    return Health(good=True, why=supervisor.state)


def ready(server: EmbeddedServer, queue_size: int = QUEUE_SIZE) -> Health:
    """Return whether a request would be served now."""
    supervisor = server.supervisor
    if supervisor is None:
        return Health(good=False, why="starting")
    if supervisor.state != "serving":
        return Health(good=False, why=supervisor.state)
    try:
        family = server.process.family
    except ServerStartError as error:
        return Health(good=False, why=str(error))
    if dead := family.dead():
        return Health(good=False, why=f"died: {', '.join(dead)}")
    if stopped := family.stopped():
        return Health(good=False, why=f"stopped: {', '.join(stopped)}")
    watchdog = supervisor.watchdog
    if (silent_s := time.monotonic() - watchdog.answered_at) > SILENT_S:
        return Health(good=False, why=f"Triton has not answered for {silent_s:.1f} s")
    if watchdog.waiting >= FULL * queue_size:
        return Health(good=False, why=f"full: {watchdog.waiting} requests wait, accepted: {queue_size}")
    return Health(good=True, why="serving")


def deep(server: EmbeddedServer) -> Health:
    """Return whether an inference gives a face, and how long it takes."""
    began = time.monotonic()
    try:
        server.process.probe(DEEP_WITHIN_S)
    except (ProbeFailed, ServerStartError) as error:
        return Health(good=False, why=str(error))
    return Health(good=True, why="served", latency_s=round(time.monotonic() - began, 4))


class HealthListener:
    """Answers for ``server`` on a thread of its own, from :meth:`start` to :meth:`stop`."""

    def __init__(self, server: EmbeddedServer, address: str, port: int) -> None:
        check_port("health", port, address)
        try:
            self._http = _Http(server, address, port)
        except OSError as error:
            kind = PortInUse if port else InvalidAddress
            raise kind(f"the health port {address}:{port} cannot be used ({error.strerror or error})") from error
        self.url = f"{reachable(address)}:{port}"
        self._thread = threading.Thread(target=self._http.serve_forever, name="emotalk-health", daemon=True)

    def __enter__(self) -> HealthListener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, server: EmbeddedServer, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.served = server
        self.callers = threading.BoundedSemaphore(MAX_CALLERS)
        self.deep_callers = threading.BoundedSemaphore(MAX_DEEP_CALLERS)
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, as the base class would."""
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Leave out whoever comes while too many are here: callers that send nothing hold a thread each."""
        if self.callers.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.callers.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A caller that left is not worth a traceback."""
        logger.debug("a health check failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = READ_WITHIN_S

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.rstrip("/")
        path = path.removeprefix("/v1")
        if path == PATHS["live"]:
            self._answer(live(self.server.served))
        elif path == PATHS["ready"]:
            self._answer(ready(self.server.served))
        elif path == PATHS["deep"]:
            self._answer(self._deep())
        else:
            self._send(404, {"error": f"nothing is here; accepted: {', '.join(PATHS.values())}"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _deep(self) -> Health:
        if not self.server.deep_callers.acquire(blocking=False):
            return Health(good=False, why=f"{MAX_DEEP_CALLERS} inferences for health are under way already")
        try:
            return deep(self.server.served)
        finally:
            self.server.deep_callers.release()

    def _answer(self, health: Health) -> None:
        self._send(200 if health.good else 503, asdict(health))

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        logger.debug(format, *args)
