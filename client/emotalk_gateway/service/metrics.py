"""Figures for an operator, by Prometheus; one registry a gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.rate import HeldRate

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "emotalk_gateway"
BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
"""Seconds: a small clip takes the first few, an hour the last."""


class Metrics:
    """Counters, and gauges that ask ``uploads``, ``streams`` and ``rate`` when they are read."""

    def __init__(self, uploads: Capacity, streams: Capacity, rate: HeldRate) -> None:
        self.registry = CollectorRegistry()
        own: Any = {"namespace": PREFIX, "registry": self.registry}
        self._requests = Counter(
            "requests", "Answers, by route and status: HTTP's, or gRPC's code", ["route", "status"], **own
        )
        self._seconds = Histogram("request_seconds", "First to last byte", ["route"], buckets=BUCKETS_S, **own)
        self._first = Histogram("first_frame_seconds", "Upload's end to first frame", buckets=BUCKETS_S, **own)
        self._frames = Counter("frames", "Frames handed out, by route", ["route"], **own)
        self._rejections = Counter("rejections", "Requests that were refused or failed, by error", ["error"], **own)
        self._asked = Counter("caller_requests", "Requests that were begun, by caller", ["caller"], **own)
        self._spoken = Counter(
            "caller_speech_seconds", "Speech that was taken in or made, by caller", ["caller"], **own
        )
        self._stale = Gauge("stale_files", "1: these cannot be used, and those of before go on", ["files"], **own)
        for name, text, value in (
            ("uploads", "Uploads being received, waiting or computed", lambda: uploads.admitted),
            ("uploads_waiting", "Uploads that wait to be computed", lambda: uploads.waiting),
            ("streams", "Live streams being served", lambda: streams.admitted),
            ("held_fps", "Frames per second that the server holds, as far as it is known", lambda: rate.fps),
        ):
            Gauge(name, text, **own).set_function(value)

    def follow(self, files: str, stale: Callable[[], bool]) -> None:
        """Tell, whenever the figures are read, whether what was made of ``files`` is ``stale``."""
        self._stale.labels(files).set_function(lambda: float(stale()))

    def asked(self, caller: str) -> None:
        """A request of ``caller`` began."""
        self._asked.labels(caller).inc()

    def spoken(self, caller: str, seconds: float) -> None:
        """``seconds`` of speech were taken in from ``caller``, or made for it."""
        self._spoken.labels(caller).inc(seconds)

    def answered(self, route: str, status: int | str, seconds: float) -> None:
        """A request of ``route`` (its template, never its path) is over."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def first_frame(self, seconds: float) -> None:
        """An upload's first frames came after ``seconds``."""
        self._first.observe(seconds)

    def frames(self, route: str, count: int) -> None:
        """``count`` frames were handed out."""
        self._frames.labels(route).inc(count)

    def rejected(self, error: str) -> None:
        """Somebody was told of an error of class ``error``."""
        self._rejections.labels(error).inc()

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format, :data:`CONTENT_TYPE`."""
        return generate_latest(self.registry)
