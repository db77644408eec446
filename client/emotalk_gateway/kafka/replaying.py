"""Dead letters sent again, after what killed them was mended.

Rule that this module guards: **no letter is sent twice.** A letter and the offset that says that it was sent are
committed in one transaction, and a replayer takes the place of another one that is at work.

Theory of operation. Letters of one class are often mended together, so each class of errors has a group of its own,
``GROUP.CLASS``, whose committed offset in the topic of dead letters says up to where that class was sent. The topic is
read from its beginning to the end that it has now; a letter before its class's offset was sent already. A letter whose
value was too large for the topic of dead letters says where the request stands; its value is read from there.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from emotalk_contract.quoting import quoted
from emotalk_gateway.kafka import clients, messages
from emotalk_gateway.kafka.collecting import place_of
from emotalk_gateway.kafka.reading import InvalidRecord, headers_of, read_dead_letter

logger = logging.getLogger(__name__)

GROUP = "emotalk.replay"
ABOUT_DEATH = frozenset({"error_class", "error", "topic", "partition", "offset", "failed_at", "bytes"})
"""Headers that a request got when it died; ``attempts`` stays with it."""
CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
MAX_CLASSES = 100
TRANSACTION_S = 30.0
POLL_S = 0.2
FETCH_S = 5.0
"""Seconds in which the value of a letter must come, where it is not with it."""
EMPTY_S = 30.0
"""Seconds without a record after which the broker is given up."""


class ValueGone(clients.QueueError):
    """A dead letter without its value, whose request is not in its topic any more."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, as it was or would be sent."""

    place: str
    """Of it, in the topic of dead letters."""
    request_id: str
    error_class: str
    error: str
    topic: str
    """That it goes to."""
    problem: str = ""
    """Reason that it was not sent."""


class Replayer:
    """Dead letters, sent to the topics that they came from.

    Args:
        brokers: ``host:port`` with commas.
        dead: topic of the dead letters.
        topic: that all of them go to; None: each to the one that its header names.
        given: settings of librdkafka.
        group: see above.

    Raises:
        InvalidBrokers: these cannot be.
        BrokerUnavailable, UnknownTopic: there is nothing to read from.
    """

    def __init__(
        self,
        brokers: str,
        dead: str,
        topic: str | None = None,
        given: Mapping[str, str] | None = None,
        group: str = GROUP,
    ) -> None:
        self._brokers = brokers
        self._dead = dead
        self._topic = topic
        self._given = dict(given or {})
        self._group = group
        self._producer = clients.producer(
            brokers,
            self._given,
            transactional_id=f"{group}.{dead}",
            transaction_timeout_ms=round(TRANSACTION_S * 1000),
        )
        self._reader = clients.reader(brokers, self._given, group=group)
        self._groups: dict[str, _Class] = {}

    def __enter__(self) -> Replayer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._groups.values():
            one.close()
        self._reader.close()

    def letters(self, classes: Collection[str] = (), *, dry: bool = False) -> Iterator[Letter]:
        """Yield each letter that was not sent yet, once it is.

        Args:
            classes: of errors; none: all.
            dry: send nothing.

        Raises:
            BrokerUnavailable: the broker went away; what was not yielded was not sent.
            NotAccepted: the broker does not take one.
        """
        if not dry:
            self._take_over()
        for message in self._until_the_end():
            try:
                dead = read_dead_letter(message)
            except InvalidRecord as error:
                logger.warning("%s is not a dead letter: %s", place_of(message), error)
                continue
            if classes and dead.error_class not in classes:
                continue
            if not CLASS.fullmatch(dead.error_class) or len(self._groups) >= MAX_CLASSES:
                logger.warning("%s has the class %s, which is not one", place_of(message), quoted(dead.error_class))
                continue
            group = self._of_class(dead.error_class)
            if group.sent(message):
                continue
            topic = self._topic or headers_of(message).get("topic", "")
            problem = "" if dry else self._send(message, topic, dead.request_id, group)
            yield Letter(place_of(message), dead.request_id, dead.error_class, dead.error, topic, problem)

    def _take_over(self) -> None:
        """End what another replayer may have begun; only then its offsets are final."""
        try:
            self._producer.init_transactions(TRANSACTION_S)
        except KafkaException as error:
            raise clients.fault(error.args[0], self._dead) from error

    def _until_the_end(self) -> Iterator[Message]:
        partitions = clients.partitions_of(self._reader, self._dead)
        ends = clients.ends_of(self._reader, self._dead, partitions)
        self._reader.assign([TopicPartition(self._dead, one, ends[one][0]) for one in partitions])
        unread = set(partitions)
        heard = time.monotonic()
        while unread:
            message = self._reader.poll(POLL_S)
            if message is None:
                if time.monotonic() - heard > EMPTY_S:
                    raise clients.BrokerUnavailable(f"no dead letter came for {EMPTY_S:g} s, and not the end of them")
                continue
            heard = time.monotonic()
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition() or 0)
            elif error.fatal():
                raise clients.fault(error, self._dead)

    def _of_class(self, error_class: str) -> _Class:
        if error_class not in self._groups:
            reader = clients.reader(self._brokers, self._given, group=f"{self._group}.{error_class}")
            self._groups[error_class] = _Class(reader, self._dead)
        return self._groups[error_class]

    def _send(self, message: Message, topic: str, request_id: str, group: _Class) -> str:
        """Send one letter; return the reason that it cannot be, if there is one."""
        if not topic:
            return "it does not say which topic it came from"
        headers = [(name, value) for name, value in messages.headers_of(message) if name not in ABOUT_DEATH]
        if not any(name == "request_id" for name, _ in headers):
            headers.append(("request_id", request_id.encode()))  # it was its place, and has another one now
        try:
            value = self._value_of(message)
        except ValueGone as error:
            return str(error)
        try:
            self._producer.begin_transaction()
            try:
                self._producer.produce(topic, value, key=message.key(), headers=headers)
                self._producer.send_offsets_to_transaction(
                    [TopicPartition(self._dead, message.partition() or 0, (message.offset() or 0) + 1)],
                    group.reader.consumer_group_metadata(),
                    TRANSACTION_S,
                )
                self._producer.commit_transaction(TRANSACTION_S)
            except KafkaException as error:
                if error.args[0].code() not in clients.FENCED:  # whoever took its place ended its transaction
                    with contextlib.suppress(KafkaException):  # the first error says why
                        self._producer.abort_transaction(TRANSACTION_S)
                raise
        except KafkaException as error:
            raise clients.fault(error.args[0], topic) from error
        group.note(message)
        return ""

    def _value_of(self, message: Message) -> bytes | None:
        """Return the request's value; :class:`ValueGone` where it is neither here nor where it was."""
        headers = headers_of(message)
        if "bytes" not in headers:
            return message.value()
        topic, place = headers.get("topic", ""), (headers.get("partition", ""), headers.get("offset", ""))
        if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in place):
            raise ValueGone("its value is not with it, and it does not say where it is")
        partition, offset = map(int, place)
        reader = clients.reader(self._brokers, self._given, group=self._group)
        try:
            reader.assign([TopicPartition(topic, partition, offset)])
            until = time.monotonic() + FETCH_S
            while time.monotonic() < until:
                found = reader.poll(POLL_S)
                if found is None:
                    continue
                if found.error() is None and found.offset() == offset and found.key() == message.key():
                    return found.value()
                break
        finally:
            reader.close()
        raise ValueGone(f"its value is not with it, and no longer at {topic}[{partition}]@{offset}")


class _Class:
    """Letters of one class: up to where they were sent."""

    def __init__(self, reader: Consumer, dead: str) -> None:
        self.reader = reader
        self._dead = dead
        self._sent: dict[int, int] = {}

    def close(self) -> None:
        self.reader.close()

    def sent(self, message: Message) -> bool:
        """True for a letter that was sent before."""
        partition = message.partition() or 0
        if partition not in self._sent:
            try:
                (found,) = self.reader.committed([TopicPartition(self._dead, partition)], timeout=clients.ANSWER_S)
            except KafkaException as error:
                raise clients.fault(error.args[0], self._dead) from error
            self._sent[partition] = max(0, found.offset)
        return (message.offset() or 0) < self._sent[partition]

    def note(self, message: Message) -> None:
        self._sent[message.partition() or 0] = (message.offset() or 0) + 1
