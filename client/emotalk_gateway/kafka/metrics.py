"""Figures of a worker, by Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "emotalk_worker"


class Metrics:
    """Counters and gauges; safe to use from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: Any = {"namespace": PREFIX, "registry": self.registry}
        self._answers = Counter("answers", "Requests that were answered", **own)
        self._speech = Counter("speech_seconds", "Seconds of speech that were answered", **own)
        self._retries = Counter("retries", "Tries that failed and were made again, by error", ["error"], **own)
        self._dead = Counter("dead_letters", "Requests that died, by error", ["error"], **own)
        self.in_flight = Gauge("in_flight", "Requests that were begun and are not over", **own)
        self.held = Gauge("held_bytes", "Bytes of requests that were taken and are not over", **own)
        self._lag = Gauge("lag", "Records of a partition that are not done with", ["partition"], **own)

    def answered(self, seconds: float) -> None:
        """A request with ``seconds`` of speech was answered."""
        self._answers.inc()
        self._speech.inc(seconds)

    def tried_again(self, error: BaseException) -> None:
        """A try failed of ``error``."""
        self._retries.labels(type(error).__name__).inc()

    def died(self, error_class: str) -> None:
        """A request became a dead letter."""
        self._dead.labels(error_class).inc()

    def lags(self, by_partition: dict[int, int]) -> None:
        """The partitions that are ours now, and how far behind they are."""
        self._lag.clear()
        for partition, lag in by_partition.items():
            self._lag.labels(str(partition)).set(lag)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format, :data:`CONTENT_TYPE`."""
        return generate_latest(self.registry)
