"""Records written and acknowledged: one by one, or all of them and an offset in one transaction.

Rule that this module guards: **what is said to be written is on the broker.** Each :class:`Writer` returns only when
every record is acknowledged by all replicas, or raises.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from emotalk_client.threads import in_thread
from emotalk_gateway.kafka import clients
from emotalk_gateway.kafka.records import Headers, Place
from emotalk_gateway.service.errors import PassesByItself

logger = logging.getLogger(__name__)

FULL_S = 0.02
"""Pause where the producer's queue is full."""
TRANSACTION_S = 60.0
"""Seconds in which the broker must take each step of a transaction."""
ASKED_S = 1.0
"""Seconds after which it is asked for again: whoever ends meanwhile need not wait for a broker that stands still."""


class WriteFailed(clients.QueueError, PassesByItself):
    """The broker did not take a record; the next try may do."""


class RecordTooLarge(WriteFailed):
    """The broker takes smaller records only."""


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


class Producers:
    """The idempotent producer of all answers, and another one where it has failed for good.

    A broker that has lost what it knew of a producer, or a producer that may have lost a record, cannot go on together.
    """

    def __init__(self, make: Callable[[], Producer]) -> None:
        self._make = make
        self.now = make()
        self._given_up: list[Producer] = []
        self._lock = threading.Lock()  # the loop's thread finds failures too

    def failed(self, producer: Producer) -> None:
        """``producer`` cannot go on; who waits for its reports still gets them."""
        with self._lock:
            if producer is self.now:
                logger.warning("the producer failed for good; another one begins")
                self.now = self._make()
                self._given_up.append(producer)

    def poll(self) -> None:
        """Hand out the reports that have come."""
        with self._lock:
            self._given_up = [producer for producer in self._given_up if len(producer)]
            producers = [self.now, *self._given_up]
        for producer in producers:
            try:
                producer.poll(0)
            except KafkaException as error:  # so the library says that a producer failed for good
                logger.warning("%s", error.args[0].str())
                self.failed(producer)

    def flush(self, timeout_s: float) -> None:
        """Hand out the reports that come within ``timeout_s``."""
        self.now.flush(timeout_s)


class Plain:
    """Records that are sent as they come; the offset is for the consumer to commit."""

    def __init__(self, producers: Producers, key: bytes | None) -> None:
        self._producers = producers
        self._producer = producers.now
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._failed: tuple[KafkaError, str] | None = None
        self._changed = asyncio.Event()

    async def write(self, record: Record) -> None:
        """Send one; see :class:`Writer`."""
        topic, value, headers = record
        while True:
            self._check()
            try:
                self._producer.produce(topic, value, self._key, headers=list(headers), on_delivery=self._delivered)
            except BufferError:
                await asyncio.sleep(FULL_S)
            except KafkaException as error:
                self._failed = error.args[0], topic
            else:
                self._waiting += 1
                return

    async def finish(self, place: Place) -> None:  # noqa: ARG002  # the offset is not its own to commit
        """Wait for the broker's word; see :class:`Writer`."""
        while self._waiting and self._failed is None:
            self._changed.clear()
            await self._changed.wait()
        self._check()

    async def forget(self) -> None:
        """Nothing: what was sent has no end."""

    def _check(self) -> None:
        if self._failed is None:
            return
        error, topic = self._failed
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._producers.failed(self._producer)
        raise _failed(error, topic)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._loop.call_soon_threadsafe(self._count, error, message.topic() or "")

    def _count(self, error: KafkaError | None, topic: str) -> None:
        self._waiting -= 1
        if error is not None and self._failed is None:
            self._failed = error, topic
        self._changed.set()


class Transactions:
    """A transactional producer for each partition that is ours; whoever gets a partition later fences ours.

    Rule: **only whoever was given a partition takes it.** One that was fenced writes nothing more there, nor fences its
    successor, until the group has given it the partition anew.
    """

    def __init__(self, brokers: str, given: Mapping[str, str], group: str, consumer: Consumer) -> None:
        self._brokers, self._given, self._group = brokers, given, group
        self._consumer = consumer
        self.membership: Any = None
        """The consumer's, as its own thread saw it last: asked for beside a poll, confluent-kafka never answers."""
        self._producers: dict[tuple[str, int], Producer | None] = {}
        self._counts: dict[str, int] = {}
        self._doubtful: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.fenced = threading.Event()
        """Set when somebody else took a partition that the group has not taken from us: the group must be asked."""

    def take(self, topic: str, partition: int, *, unless: Callable[[], bool] = lambda: False) -> Producer:
        """Return a new producer of a partition, which ends what its predecessor left open; blocks.

        Args:
            unless: true when nobody wants it any more.

        Raises:
            WriteFailed: the broker does not answer.
        """
        found = clients.producer(
            self._brokers, self._given, transactional_id=f"{self._group}.{topic}.{partition}",
            transaction_timeout_ms=round(TRANSACTION_S * 1000),
        )  # fmt: skip
        try:
            self._asked(found.init_transactions, unless)
        except KafkaException as error:
            raise _failed(error.args[0], topic) from error
        with self._lock:
            self._producers[topic, partition] = found
        return found

    def drop(self, topic: str, partition: int) -> None:
        """Forget the producer of a partition, which is not ours any more."""
        with self._lock:
            self._producers.pop((topic, partition), None)
            self._doubtful.discard((topic, partition))

    def hurry(self) -> None:
        """Let nobody wait for the broker's word any more; callable from anywhere, signal handlers too."""
        self._ending.set()

    def close(self) -> None:
        """Forget all; what waits for the broker's word on one waits no longer."""
        self.hurry()
        with self._lock:
            self._producers.clear()

    def commit(self, records: Sequence[Record], key: bytes | None, place: Place) -> None:
        """Write ``records`` and the offset after ``place`` in one transaction; blocks.

        Answers go to the partition of the request's number, so that transactions never stand in each other's way.

        Raises:
            WriteFailed: nothing of it counts.
        """
        producer = self._of(place)
        if self._is_done(place):
            return
        refused: list[tuple[KafkaError, str]] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                refused.append((error, message.topic() or ""))

        try:
            producer.begin_transaction()
            for record in records:
                _produce(producer, record, key, self._partition(producer, record[0], place), delivered)
            self._flush(producer)
            after = [TopicPartition(place.topic, place.partition, place.offset + 1)]
            self._asked(partial(producer.send_offsets_to_transaction, after, self.membership))
            self._end(producer, place)
        except KafkaException as error:
            self._undo(producer, error.args[0], place)
            cause, topic = refused[0] if refused else (error.args[0], place.topic)
            raise _failed(cause, topic) from error

    def _asked(self, call: Callable[[float], object], unless: Callable[[], bool] = lambda: False) -> None:
        """Make ``call``, whose argument is its time in seconds, until it is answered; librdkafka resumes it.

        Raises:
            KafkaException: as ``call``; of one that was not answered, when its time is over or everything ends.
        """
        deadline = time.monotonic() + TRANSACTION_S
        while True:
            try:
                call(ASKED_S)
            except KafkaException as error:
                why = error.args[0]
                final = why.txn_requires_abort() or not why.retriable() or time.monotonic() >= deadline
                if final or self._ending.is_set() or unless():
                    raise
            else:
                return

    def _flush(self, producer: Producer) -> None:
        """Serve the delivery callbacks, which a commit waits for."""
        deadline = time.monotonic() + TRANSACTION_S
        while producer.flush(ASKED_S) and time.monotonic() < deadline and not self._ending.is_set():
            pass

    def _of(self, place: Place) -> Producer:
        with self._lock:
            if (place.topic, place.partition) not in self._producers:
                raise WriteFailed(f"{place.topic}-{place.partition} is not ours any more")
            found = self._producers[place.topic, place.partition]
        return found or self.take(place.topic, place.partition)

    def _is_ours(self, place: Place, producer: Producer) -> bool:
        with self._lock:
            return self._producers.get((place.topic, place.partition)) is producer

    def _is_done(self, place: Place) -> bool:
        """True where a commit that nobody answered has come to pass after all."""
        if (place.topic, place.partition) not in self._doubtful:
            return False
        try:
            (found,) = self._consumer.committed([TopicPartition(place.topic, place.partition)], timeout=ASKED_S)
        except KafkaException as error:
            raise _failed(error.args[0], place.topic) from error
        self._doubtful.discard((place.topic, place.partition))
        return bool(found.offset > place.offset)

    def _end(self, producer: Producer, place: Place) -> None:
        """Commit; asked again until the broker says what became of it, as long as the partition is ours."""
        while True:
            try:
                producer.commit_transaction(ASKED_S)
            except KafkaException as error:
                if error.args[0].txn_requires_abort():
                    raise
                if not error.args[0].retriable() or self._ending.is_set() or not self._is_ours(place, producer):
                    self._doubtful.add((place.topic, place.partition))
                    raise
            else:
                return

    def _undo(self, producer: Producer, error: KafkaError, place: Place) -> None:
        if error.code() in clients.FENCED:
            if self._is_ours(place, producer):
                self.fenced.set()
            self.drop(place.topic, place.partition)
            return
        if error.txn_requires_abort():
            try:
                self._asked(producer.abort_transaction)
            except KafkaException:
                logger.debug("a transaction could not be aborted; its producer is given up")
            else:
                return
        with self._lock:
            if self._producers.get((place.topic, place.partition)) is producer:
                self._producers[place.topic, place.partition] = None

    def _partition(self, producer: Producer, topic: str, place: Place) -> int:
        if topic not in self._counts:
            try:
                self._counts[topic] = len(clients.partitions_of(producer, topic))
            except clients.QueueError as error:
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, str(error))) from error
        return place.partition % self._counts[topic]


class InTransaction:
    """Records that are held until all are there, and written in one transaction with the offset.

    Nothing is open while a clip is computed: a worker that dies then leaves nothing to be aborted.
    """

    def __init__(self, transactions: Transactions, key: bytes | None) -> None:
        self._transactions = transactions
        self._key = key
        self._records: list[Record] = []

    async def write(self, record: Record) -> None:
        """Hold one; see :class:`Writer`."""
        self._records.append(record)

    async def finish(self, place: Place) -> None:
        """Write all; see :class:`Writer`."""
        await in_thread(self._transactions.commit, self._records, self._key, place)

    async def forget(self) -> None:
        """Nothing was written."""
        self._records.clear()


def _produce(
    producer: Producer,
    record: Record,
    key: bytes | None,
    partition: int,
    delivered: Callable[[KafkaError | None, Message], None],
) -> None:
    topic, value, headers = record
    while True:
        try:
            producer.produce(topic, value, key, partition, headers=list(headers), on_delivery=delivered)
        except BufferError:
            producer.poll(FULL_S)
        else:
            return


def _failed(error: KafkaError, topic: str) -> WriteFailed:
    large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
    return (RecordTooLarge if large else WriteFailed)(f"{clients.fault(error, topic)}")
