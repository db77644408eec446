"""Requests put into a queue."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from emotalk_gateway.kafka import clients

WAITING_BYTES = 64 << 20
"""Of records that are sent and not acknowledged yet: more wait for them."""
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Queued:
    """A request that the broker holds."""

    name: str
    """The caller's word for it."""
    request_id: str
    partition: int
    offset: int


class Enqueuer:
    """A way into the topic of requests.

    Args:
        brokers: ``host:port`` with commas.
        given: settings of librdkafka.
        timeout_s: in which a record must be acknowledged.

    Raises:
        InvalidBrokers: these cannot be.
        BrokerUnavailable, UnknownTopic: there is nobody to take anything.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        given: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self._topic = topic
        self._timeout_s = timeout_s
        self._done: list[Queued] = []
        self._wrong: KafkaError | None = None
        self._bytes = 0
        self._producer = clients.producer(brokers, given or {}, delivery_timeout_ms=round(timeout_s * 1000))
        clients.partitions_of(self._producer, topic, min(timeout_s, clients.ANSWER_S))

    def __enter__(self) -> Enqueuer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._producer.purge()
        self._producer.flush(self._timeout_s)

    def send(
        self,
        value: bytes,
        *,
        name: str = "",
        request_id: str | None = None,
        key: bytes | None = None,
        options: Mapping[str, Any] | None = None,
        answer: str = "float32",
        traceparent: str | None = None,
    ) -> str:
        """Send a request; return its id.

        Args:
            value: an audio file, or a reference.
            name: the caller's own word for it.
            key: of those that stay in order among each other; None: no order.
            options: by the names of the gateway's form.
            answer: ``float32`` or ``json``.

        Raises:
            NotAccepted: the record is too large.
            BrokerUnavailable: records that were sent before were not acknowledged in time.
        """
        request_id = request_id or uuid.uuid4().hex
        headers = {"request_id": request_id, "answer": answer, "options": json.dumps(dict(options or {}))}
        if traceparent:
            headers["traceparent"] = traceparent
        while self._bytes + len(value) > WAITING_BYTES and self._bytes:
            self._poll(POLL_S)

        def delivered(error: KafkaError | None, message: Message) -> None:
            self._bytes -= len(value)
            if error is not None:
                self._wrong = error
            else:
                self._done.append(Queued(name, request_id, message.partition() or 0, message.offset() or 0))

        try:
            self._producer.produce(
                self._topic,
                value,
                key=key,
                headers=[(header, text.encode()) for header, text in headers.items()],
                on_delivery=delivered,
            )
        except KafkaException as error:
            raise clients.fault(error.args[0], self._topic) from error
        self._bytes += len(value)
        self._poll(0)
        return request_id

    def acknowledged(self) -> Iterator[Queued]:
        """Yield each request that was sent, as the broker says that it holds it; those of earlier calls not again.

        Raises:
            NotAccepted, BrokerUnavailable: one was not taken.
        """
        while self._bytes or self._done:
            yield from self._taken()
            if self._bytes:
                self._poll(POLL_S)
        yield from self._taken()

    def _taken(self) -> list[Queued]:
        taken, self._done = self._done, []
        return taken

    def _poll(self, seconds: float) -> None:
        self._producer.poll(seconds)
        if self._wrong is not None:
            raise clients.fault(self._wrong, self._topic)
