"""Answers read from their topic.

Rule that this module guards: **whoever writes to the topic, the reader goes on.** A record that is not an answer, or
that fits none, is said and passed over; :mod:`emotalk_gateway.kafka.assembling` believes whole answers only.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

from confluent_kafka import KafkaError, Message, TopicPartition

from emotalk_contract.quoting import quoted
from emotalk_gateway.kafka import clients, reading
from emotalk_gateway.kafka.assembling import MAX_BYTES, Answer, Assembler, Final, Trouble

logger = logging.getLogger(__name__)

GROUP = "emotalk.collect"
"""Of readers, which commit nothing."""
POLL_S = 0.2
AT_ONCE = 500
"""Records that are taken at once."""
MAX_DIED = 100_000
"""Requests that are remembered as dead."""


class NotAnswered(clients.QueueError):
    """Requests that have neither an answer nor a dead letter in time."""


@dataclass(frozen=True, slots=True)
class Died:
    """A request that stands among the dead letters."""

    request_id: str
    error_class: str
    error: str


Event = Answer | Died | Trouble
"""That a reader is told of."""


class Collector:
    """Answers, as they become whole.

    Args:
        brokers: ``host:port`` with commas.
        topic: of the answers.
        dead: topic of the dead letters; None: those are not read. One that is not there has none.
        given: settings of librdkafka.
        isolation: ``read_committed``, or ``read_uncommitted``.
        new: from now on only; else from the beginning.
        max_bytes: of answers that have no final record yet.

    Raises:
        InvalidBrokers: these cannot be.
        BrokerUnavailable, UnknownTopic: there is nothing to read from.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        *,
        dead: str | None = None,
        given: Mapping[str, str] | None = None,
        isolation: str = "read_committed",
        new: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._assembler = Assembler(max_bytes)
        self._dead = dead
        self._died: OrderedDict[str, None] = OrderedDict()
        self._reader = clients.reader(brokers, given or {}, group=GROUP, isolation=isolation)
        try:
            places = [TopicPartition(topic, one) for one in clients.partitions_of(self._reader, topic)]
            if dead is not None:
                try:
                    places += [TopicPartition(dead, one) for one in clients.partitions_of(self._reader, dead)]
                except clients.UnknownTopic as error:
                    logger.warning("no dead letters are read: %s", error)
            for place in places:
                first, last = clients.ends_of(self._reader, place.topic, [place.partition])[place.partition]
                place.offset = last if new else first
            self._reader.assign(places)
        except BaseException:
            self._reader.close()
            raise
        self._unread = {(place.topic, place.partition) for place in places}

    def __enter__(self) -> Collector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def waiting(self) -> dict[str, int]:
        """Frames that are there, by request that is not whole yet."""
        return self._assembler.waiting

    def of(self, wanted: Collection[str], timeout_s: float | None = None) -> Iterator[Event]:
        """Yield what becomes of the requests ``wanted``, until each of them has an answer or a dead letter.

        Others are passed over, whatever they are.

        Raises:
            NotAnswered: some have neither when ``timeout_s`` seconds are over.
        """
        missing = set(wanted)
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while missing:
            for event in self.poll():
                if event.request_id in missing:
                    yield event
                    missing -= set() if isinstance(event, Trouble) else {event.request_id}
            if until is not None and missing and time.monotonic() > until:
                named = ", ".join(quoted(one) for one in sorted(missing)[:3])
                raise NotAnswered(
                    f"{len(missing)} of {len(wanted)} requests have neither an answer nor a dead letter after "
                    f"{timeout_s:g} s, such as {named}"
                )

    def all(self) -> Iterator[Event]:
        """Yield what is there, up to the end of the topics or of what transactions have decided."""
        while self._unread:
            yield from self.poll()

    def follow(self) -> Iterator[Event]:
        """Yield what is there and what comes, for ever."""
        while True:
            yield from self.poll()

    def poll(self, seconds: float = POLL_S) -> list[Event]:
        """Return what some more records bring, waiting ``seconds`` at most."""
        events: list[Event] = []
        for message in self._reader.consume(AT_ONCE, seconds):
            error = message.error()
            if error is None:
                events += self._dead_letter(message) if message.topic() == self._dead else self._answer(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._unread.discard((message.topic() or "", message.partition() or 0))
            elif error.fatal():
                raise clients.fault(error, message.topic() or "")
            else:
                logger.debug("reading goes on after %s", error)
        return events

    def _answer(self, message: Message) -> list[Event]:
        try:
            record = reading.read_answer(message)
        except reading.InvalidRecord as error:
            logger.warning("%s is not an answer: %s", place_of(message), error)
            return []
        if isinstance(record, Final):
            return [self._assembler.end(record)]
        return list(self._assembler.add(record))

    def _dead_letter(self, message: Message) -> list[Event]:
        try:
            letter = reading.read_dead_letter(message)
        except reading.InvalidRecord as error:
            logger.warning("%s is not a dead letter: %s", place_of(message), error)
            return []
        if letter.request_id in self._died:
            return []
        self._died[letter.request_id] = None
        if len(self._died) > MAX_DIED:
            self._died.popitem(last=False)
        return [Died(letter.request_id, letter.error_class, letter.error)]


def place_of(message: Message) -> str:
    """Return the place of a record, for people."""
    return f"{message.topic()}[{message.partition()}]@{message.offset()}"
