"""Records written and acknowledged: one by one, or all of them and an offset in one transaction.

Rule that this module guards: **what is said to be written is on the broker.** Each :class:`Writer` returns only when
every record is acknowledged by all replicas, or raises.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from emotalk_client.threads import in_thread
from emotalk_gateway.kafka import clients
from emotalk_gateway.kafka.records import Headers, Place

logger = logging.getLogger(__name__)

FULL_S = 0.02
"""Pause where the producer's queue is full."""
TRANSACTION_S = 60.0
PARTITION_BY_KEY = -1
"""librdkafka's word for it."""


class WriteFailed(clients.QueueError):
    """The broker did not take a record; the next try may do."""


Record = tuple[str, bytes | None, Headers]
"""Topic, value and headers."""


class Writer(Protocol):
    """Somewhere for the records of one try."""

    async def write(self, record: Record) -> None:
        """Hand a record over."""

    async def finish(self, place: Place) -> None:
        """Return when all records are safe and the request at ``place`` may be done with.

        Raises:
            WriteFailed: they are not.
        """

    async def forget(self) -> None:
        """The try is over without an answer."""


class Plain:
    """Records that are sent as they come; the offset is for the consumer to commit."""

    def __init__(self, producer: Producer, key: bytes | None) -> None:
        self._producer = producer
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._error: KafkaError | None = None
        self._changed = asyncio.Event()

    async def write(self, record: Record) -> None:
        """Send one; see :class:`Writer`."""
        topic, value, headers = record
        while True:
            try:
                self._producer.produce(topic, value, self._key, headers=list(headers), on_delivery=self._delivered)
            except BufferError:
                await asyncio.sleep(FULL_S)
            except KafkaException as error:
                raise _failed(error.args[0], topic) from error
            else:
                self._waiting += 1
                return

    async def finish(self, place: Place) -> None:  # noqa: ARG002  # the offset is not its own to commit
        """Wait for the broker's word; see :class:`Writer`."""
        while self._waiting and self._error is None:
            self._changed.clear()
            await self._changed.wait()
        if self._error is not None:
            raise _failed(self._error, "the answers' topic")

    async def forget(self) -> None:
        """Nothing: what was sent has no end."""

    def _delivered(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002  # the library's signature
        self._loop.call_soon_threadsafe(self._count, error)

    def _count(self, error: KafkaError | None) -> None:
        self._waiting -= 1
        self._error = self._error or error
        self._changed.set()


class Transactions:
    """A transactional producer for each partition that is ours; whoever gets a partition later fences ours."""

    def __init__(self, brokers: str, given: dict[str, str], group: str) -> None:
        self._brokers, self._given, self._group = brokers, given, group
        self.membership: Any = None
        """The consumer's, as its own thread saw it last: asked for beside a poll, confluent-kafka never answers."""
        self._producers: dict[tuple[str, int], Producer] = {}
        self._lock = threading.Lock()

    def take(self, topic: str, partition: int) -> Producer:
        """Return the producer of a partition; a new one ends what its predecessor left open.

        Raises:
            WriteFailed: it cannot be had now.
        """
        with self._lock:
            found = self._producers.get((topic, partition))
            if found is None:
                found = clients.producer(
                    self._brokers, self._given, transactional_id=f"{self._group}.{topic}.{partition}",
                    transaction_timeout_ms=round(TRANSACTION_S * 1000),
                )  # fmt: skip
                try:
                    found.init_transactions(TRANSACTION_S)
                except KafkaException as error:
                    raise _failed(error.args[0], topic) from error
                self._producers[topic, partition] = found
            return found

    def drop(self, topic: str, partition: int) -> None:
        """Forget the producer of a partition."""
        with self._lock:
            self._producers.pop((topic, partition), None)

    def commit(self, records: Sequence[Record], key: bytes | None, place: Place, targets: dict[str, int]) -> None:
        """Write ``records`` and the offset after ``place`` in one transaction; blocks.

        Args:
            targets: partitions by topic; a topic that is not there chooses by the key.

        Raises:
            WriteFailed: nothing of it counts.
        """
        producer = self.take(place.topic, place.partition)
        try:
            producer.begin_transaction()
            for topic, value, headers in records:
                _produce(producer, topic, value, key, headers, targets.get(topic))
            producer.send_offsets_to_transaction(
                [TopicPartition(place.topic, place.partition, place.offset + 1)],
                self.membership,
                TRANSACTION_S,
            )
            producer.commit_transaction(TRANSACTION_S)
        except KafkaException as error:
            self._undo(producer, error.args[0], place)
            raise _failed(error.args[0], place.topic) from error

    def _undo(self, producer: Producer, error: KafkaError, place: Place) -> None:
        if error.code() not in clients.FENCED and error.txn_requires_abort():
            try:
                producer.abort_transaction(TRANSACTION_S)
            except KafkaException:
                logger.debug("a transaction could not be aborted; its producer is given up")
            else:
                return
        self.drop(place.topic, place.partition)


class InTransaction:
    """Records that are held until all are there, and written in one transaction with the offset.

    Nothing is open while a clip is computed: a worker that dies then leaves nothing to be aborted.
    """

    def __init__(self, transactions: Transactions, key: bytes | None, targets: dict[str, int]) -> None:
        self._transactions = transactions
        self._key = key
        self._targets = targets
        self._records: list[Record] = []

    async def write(self, record: Record) -> None:
        """Hold one; see :class:`Writer`."""
        self._records.append(record)

    async def finish(self, place: Place) -> None:
        """Write all; see :class:`Writer`."""
        await in_thread(self._transactions.commit, self._records, self._key, place, self._targets)

    async def forget(self) -> None:
        """Nothing was written."""
        self._records.clear()


def _produce(
    producer: Producer, topic: str, value: bytes | None, key: bytes | None, headers: Headers, partition: int | None
) -> None:
    while True:
        try:
            producer.produce(
                topic, value, key, PARTITION_BY_KEY if partition is None else partition, headers=list(headers)
            )
        except BufferError:
            producer.poll(FULL_S)
        else:
            return


def _failed(error: KafkaError, topic: str) -> WriteFailed:
    return WriteFailed(f"{clients.fault(error, topic)}")
