"""A worker: requests from a topic, answers to another.

Rule that this module guards: **an offset is committed only when its request has an answer or a dead letter on the
broker.**

Theory of operation. One thread polls, and never stops doing so: it takes records within a budget, pauses its partitions
when that is spent, serves rebalances, and commits. Another runs the event loop on which requests are tried. Lanes keep
the order of a key (with transactions, of a partition); watermarks keep commits free of gaps. Where a partition is taken
away, what runs for it is cancelled, and what is done is committed first.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_gateway.kafka import clients
from emotalk_gateway.kafka.hearing import EVERY_MS, Hearing
from emotalk_gateway.kafka.lanes import Lanes
from emotalk_gateway.kafka.memory import give_back
from emotalk_gateway.kafka.messages import headers_of
from emotalk_gateway.kafka.metrics import Metrics
from emotalk_gateway.kafka.offsets import Watermark
from emotalk_gateway.kafka.records import Place
from emotalk_gateway.kafka.references import buckets_library
from emotalk_gateway.kafka.settings import WorkerSettings
from emotalk_gateway.kafka.trying import Trier, Work
from emotalk_gateway.kafka.writing import InTransaction, Plain, Producers, Transactions, WriteFailed, Writer
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.settings import load_settings

logger = logging.getLogger(__name__)

POLL_S, IDLE_S = 0.01, 0.1
"""Seconds of one poll: while something runs, and while nothing does."""
AT_ONCE = 64
"""Records that are taken between two looks at what is over."""
MAX_RECORDS, MAX_BYTES = 256, 24 << 20
"""Of requests that were taken and are not over; more wait on the broker."""
COMMIT_S = 0.5
"""Seconds between two commits."""
LAG_S = 5.0
FREED_BYTES, GIVE_BACK_S = 1 << 20, 1.0
"""Of requests that are over, and seconds since the last time, after which free memory is given back."""
FETCHED_BYTES = 1 << 20
QUEUED_KBYTES = 1024
START_S = 30.0
COMMITTED_S = 5.0
"""Seconds in which the broker must answer a commit that somebody waits for."""
CLOSE_S = 5.0
STILL_S = 150.0
"""Seconds after which a thread that polls no more is dead; a producer of transactions may take a minute to begin."""


class WorkerFailed(clients.QueueError):
    """A worker that cannot go on; whoever started it starts it again."""


class Worker:
    """One worker, for as long as :meth:`run` runs.

    Args:
        client: makes the client on the loop that will use it.

    Raises:
        InvalidBrokers: the settings cannot be.
        MissingExtra: requests may name buckets, and the library for these is not installed.
    """

    def __init__(self, settings: WorkerSettings, client: Callable[[], AsyncEmoTalkClient]) -> None:
        if settings.limits.allowed.buckets:
            buckets_library()
        self._settings = settings
        self._client = client
        self.metrics = Metrics()
        self.hearing = Hearing()
        self.assigned = threading.Event()
        """Set when the group has given partitions, or none, for the first time."""
        self._stopping = threading.Event()
        self._at_once = threading.Event()
        self._over: queue.SimpleQueue[tuple[Work, concurrent.futures.Future[None]]] = queue.SimpleQueue()
        self._lanes: Lanes[Work] = Lanes(MAX_RECORDS)
        self._marks: dict[int, Watermark] = {}
        self._running: dict[Work, concurrent.futures.Future[None]] = {}
        self._bytes = self._freed = 0
        self._paused = self._stale = False
        self._committed_at = self._looked_at = self._turned_at = self._given_back_at = 0.0
        self._commits = 0
        self._consumer = self._make_consumer()
        self._producers: Producers | None = None
        self._transactions: Transactions | None = None
        if settings.transactions:
            self._transactions = Transactions(settings.brokers, dict(settings.given), settings.group, self._consumer)
        else:
            self._producers = Producers(
                lambda: clients.producer(
                    settings.brokers, settings.given, linger_ms=5, delivery_timeout_ms=120_000,
                    batch_size=min(1_000_000, settings.max_record_bytes),
                )
            )  # fmt: skip
        self.loop = asyncio.new_event_loop()
        self.service: Service | None = None
        self._trier: Trier | None = None

    @property
    def stopping(self) -> bool:
        """True once it was asked to end."""
        return self._stopping.is_set()

    @property
    def still_s(self) -> float:
        """Seconds since its thread last polled; 0 before it begins."""
        return time.monotonic() - self._turned_at if self._turned_at else 0.0

    def stop(self) -> None:
        """Ask it to end: what was begun may be finished. The second time, at once."""
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()
        if self._transactions is not None and not self._running:
            self._transactions.hurry()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Work until :meth:`stop`.

        Args:
            ready: called when the group has let it in.

        Raises:
            WorkerFailed: it cannot go on.
        """
        thread = threading.Thread(target=self._serve, name="emotalk-faces", daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(self._make_service(), self.loop).result(START_S)
        self._subscribe()
        told = False
        try:
            while not self._stopping.is_set():
                self._turn()
                if self.assigned.is_set() and not told:
                    told = True
                    ready()
            self._drain()
        finally:
            for future in list(self._running.values()):
                future.cancel()
            if self._transactions is not None:
                self._transactions.close()
            self._leave()
            if self._producers is not None:
                self._producers.flush(1.0)
            with contextlib.suppress(TimeoutError, concurrent.futures.TimeoutError):
                asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(CLOSE_S)
            self.loop.call_soon_threadsafe(self.loop.stop)
            thread.join(CLOSE_S)
            if not thread.is_alive():
                self.loop.close()

    # On the thread that polls.

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            [self._settings.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        if self._transactions is not None and self._transactions.fenced.is_set():
            logger.warning("another worker has taken a partition of ours; the group is joined anew")
            self._transactions.fenced.clear()
            self._consumer.unsubscribe()
            self._subscribe()
        for number in range(AT_ONCE):
            if not self._poll(0 if number else POLL_S if self._running else IDLE_S) or self._full():
                break
        self._settle()
        if self._transactions is not None:
            self._transactions.membership = self._consumer.consumer_group_metadata()
        for work in self._lanes.begin():
            self._begin(work)
        self._pause_or_resume()
        self._commit()
        self._give_back()
        self._look()

    def _poll(self, timeout_s: float) -> bool:
        """Take a record, if there is one; it is held no longer than this call, for the next may be large too."""
        message = self._consumer.poll(timeout_s)
        if message is not None:
            self._take(message)
        return message is not None

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise WorkerFailed(f"the consumer failed: {error.str()}")
            (logger.debug if error.code() == KafkaError._PARTITION_EOF else logger.warning)("%s", error.str())
            return
        place = Place(message.topic() or "", message.partition() or 0, message.offset() or 0)
        mark = self._marks.get(place.partition)
        if mark is None:  # it was taken away
            return
        if place.offset <= mark.last:
            logger.warning("%s begins anew at %d, for its records are others now", self._settings.topic, place.offset)
            self._let_go({place.partition}, commit=False)
            mark = self._marks[place.partition] = Watermark()
            if self._transactions is not None:
                self._transactions.take(place.topic, place.partition)
        key: bytes | str | None = message.key()
        size = len(message)
        kept = size <= self._settings.limits.max_bytes  # else it is refused by its size
        value: bytes | str = (message.value() or b"") if kept else b""
        value = value.encode() if isinstance(value, str) else value
        lane: object = place if key is None else key
        if self._settings.transactions:
            lane = place.partition
        key = key.encode() if isinstance(key, str) else key
        work = Work(place, key, headers_of(message), value, size, lane)
        mark.begin(place.offset)
        self._bytes += len(work.value)
        self._lanes.add(lane, work)

    def _begin(self, work: Work) -> None:
        assert self._trier is not None  # noqa: S101  # made before anything is subscribed to
        future = asyncio.run_coroutine_threadsafe(self._trier.end(work), self.loop)
        self._running[work] = future
        future.add_done_callback(lambda done: self._over.put((work, done)))

    def _settle(self) -> None:
        if self._producers is not None:
            self._producers.poll()
        while True:
            try:
                work, future = self._over.get_nowait()
            except queue.Empty:
                break
            del self._running[work]
            self._lanes.over(work.lane)
            self._bytes -= len(work.value)
            self._freed += work.size
            if future.cancelled():
                continue
            if (error := future.exception()) is not None:
                raise WorkerFailed(f"{work.place} cannot be ended: {type(error).__name__}: {error}") from error
            mark = self._marks.get(work.place.partition)
            if mark is not None:
                mark.done(work.place.offset)
        self.metrics.in_flight.set(len(self._running))
        self.metrics.held.set(self._bytes)

    def _give_back(self) -> None:
        if self._freed >= FREED_BYTES and time.monotonic() >= self._given_back_at + GIVE_BACK_S:
            self._freed, self._given_back_at = 0, time.monotonic()
            give_back()

    def _full(self) -> bool:
        return len(self._lanes) >= MAX_RECORDS or self._bytes >= MAX_BYTES

    def _pause_or_resume(self) -> None:
        roomy = len(self._lanes) < MAX_RECORDS // 2 and self._bytes < MAX_BYTES // 2
        if (self._full() and not self._paused) or (self._paused and self._stale and not roomy):
            self._consumer.pause(self._consumer.assignment())
            self._paused, self._stale = True, False
        elif roomy and self._paused:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False

    def _commit(self, *, now: bool = False, partitions: set[int] | None = None) -> None:
        if self._settings.transactions:
            return
        # Nobody is kept waiting, and what could be committed with these may be long in coming.
        idle = not (len(self._lanes) or self._commits)
        if not (now or idle) and time.monotonic() < self._committed_at + COMMIT_S:
            return
        due = {
            one: mark.position
            for one, mark in self._marks.items()
            if mark.position is not None and (partitions is None or one in partitions)
        }
        self._committed_at = time.monotonic()
        if not due:
            return
        offsets = [TopicPartition(self._settings.topic, one, position) for one, position in due.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)  # a broker that is away must not stop the polling
        except KafkaException as error:  # it is tried again; a reader of whole answers may see one twice
            logger.warning("offsets are not committed yet: %s", error.args[0].str())
        else:
            self._commits += 1

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        self._commits = max(0, self._commits - 1)
        for place in places:
            why = error or place.error
            if why is not None:
                logger.warning("offsets are not committed yet: %s", why.str())
            elif (mark := self._marks.get(place.partition)) is not None:
                mark.committed(place.offset)

    def _commit_now(self) -> None:
        """Commit, and wait for the broker's word, which may not come."""
        self._commit(now=True)
        deadline = time.monotonic() + COMMITTED_S
        while self._commits and time.monotonic() < deadline and not self._at_once.is_set():
            self._consumer.poll(POLL_S)

    def _look(self) -> None:
        if time.monotonic() < self._looked_at + LAG_S:
            return
        self._looked_at = time.monotonic()
        lags = {}
        for one, mark in self._marks.items():
            _, last = self._consumer.get_watermark_offsets(TopicPartition(self._settings.topic, one), cached=True)
            if last >= 0 and mark.first_open is not None:
                lags[one] = max(0, last - mark.first_open)
        self.metrics.lags(lags)

    def _on_assign(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        for place in places:
            if self._transactions is not None:
                try:  # before its offset is asked for: what a predecessor left open is ended
                    self._transactions.take(place.topic, place.partition, unless=self._stopping.is_set)
                except WriteFailed as error:
                    if self._stopping.is_set():
                        return
                    # Without it, an answer of the predecessor might be given again.
                    raise WorkerFailed(f"{place.topic}-{place.partition} cannot be taken: {error}") from error
            self._marks[place.partition] = Watermark()
        self._stale = True  # what comes new is not paused
        self.assigned.set()
        logger.info("%d partitions came", len(places))

    def _on_revoke(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        self._let_go({place.partition for place in places}, commit=True)

    def _on_lost(self, _consumer: Consumer, places: list[TopicPartition]) -> None:
        self._let_go({place.partition for place in places}, commit=False)

    def _let_go(self, partitions: set[int], *, commit: bool) -> None:
        for work in self._lanes.drop(lambda one: one.place.partition in partitions):
            self._bytes -= len(work.value)
        running = {work: future for work, future in self._running.items() if work.place.partition in partitions}
        for future in running.values():
            future.cancel()
        self._settle()
        if commit:
            self._commit(now=True, partitions=partitions)
        for one in partitions:
            self._marks.pop(one, None)
            if self._transactions is not None:
                self._transactions.drop(self._settings.topic, one)
        logger.info("%d partitions went", len(partitions))

    def _drain(self) -> None:
        """Finish what was begun, within its time."""
        deadline = time.monotonic() + self._settings.drain_s
        self._lanes.drop(lambda _: True)
        while time.monotonic() < deadline and not self._at_once.is_set():
            trying = self._trier.trying if self._trier is not None else set()
            for work, future in list(self._running.items()):
                if work not in trying:  # it waits for its turn, or for what may take long to come back
                    future.cancel()
            self._settle()
            if not self._running:
                break
            self._consumer.pause(self._consumer.assignment())
            self._consumer.poll(POLL_S)
            self._commit()
        for future in list(self._running.values()):
            future.cancel()
        self._commit_now()

    def _leave(self) -> None:
        """Leave the group, which a broker that stands still answers only when the session is over.

        It is another thread's, so that this one still hears signals; what cannot be said in time is left to the broker.
        """
        closing = threading.Thread(target=self._consumer.close, name="emotalk-leaving", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        if closing.is_alive():
            logger.warning("the group was not left within %g s; the broker will notice", CLOSE_S)

    def _make_consumer(self) -> Consumer:
        settings = self._settings
        return clients.member(
            settings.brokers, settings.given, group=settings.group, fetched=FETCHED_BYTES, queued_kbytes=QUEUED_KBYTES,
            on_commit=self._on_commit, stats_cb=self.hearing, statistics_interval_ms=EVERY_MS,
        )  # fmt: skip

    # On the event loop.

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _make_service(self) -> None:
        concurrency = self._settings.concurrency
        self.service = Service(load_settings(max_requests=2 * concurrency, max_computing=concurrency), self._client())
        self._trier = Trier(self.service, self._settings, self.metrics, self._writer)

    async def _close(self) -> None:
        if left := asyncio.all_tasks() - {asyncio.current_task()}:  # cancelled, and in a call that ends soon
            await asyncio.wait(left, timeout=CLOSE_S / 2)
        if self.service is not None:
            await self.service.client.close()

    def _writer(self, work: Work) -> Writer:
        if self._transactions is not None:
            return InTransaction(self._transactions, work.key)
        assert self._producers is not None  # noqa: S101  # one of the two is
        return Plain(self._producers, work.key)
