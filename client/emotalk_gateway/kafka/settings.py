"""Settings of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emotalk_gateway.kafka.requests import Limits

MAX_RECORD_BYTES = 900_000
"""Of an answer's record: Kafka's own limit is 1 MiB."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """One worker: its topics, and what it does at once."""

    brokers: str
    topic: str
    results: str
    dead: str
    group: str
    concurrency: int = 4
    """Clips at once."""
    transactions: bool = False
    max_record_bytes: int = MAX_RECORD_BYTES
    drain_s: float = 30.0
    """In which clips that were begun may be finished when it is asked to end."""
    limits: Limits = field(default_factory=Limits)
    given: Mapping[str, str] = field(default_factory=dict)
    """Of librdkafka."""
