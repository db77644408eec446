"""Kafka clients of people's commands: their settings, and librdkafka's errors in our words.

::

    GatewayError
    └── QueueError
        ├── InvalidBrokers       addresses, or a setting of librdkafka, that cannot be
        ├── BrokerUnavailable    no broker answers in time
        ├── UnknownTopic         a topic that the broker does not have
        └── NotAccepted          a record that the broker, or its limits, did not take
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import GatewayError

logger = logging.getLogger(__name__)

Client = TypeVar("Client")

ANSWER_S = 10.0
"""Seconds in which a broker must answer."""
MAX_RECORD_BYTES = 128 << 20
"""Largest record that is sent: the broker's own limit is far below it unless somebody raised that."""
RECEIVED_BYTES = 2 * MAX_RECORD_BYTES
"""librdkafka's limit of one answer: a record that is larger than what was asked for comes whole."""
FETCHED_BYTES, QUEUED_KBYTES = 8 << 20, 16 << 10
"""That readers ask for at once, and that they hold ahead of whoever reads."""
BACKOFF_MS = 10
"""Until a consumer that holds enough asks for more; librdkafka's own second is long where that is worked off soon."""
ADDRESS = re.compile(r"(?:[A-Za-z0-9+_]+://)?(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?")
OURS = frozenset(
    {
        "acks", "auto.commit.enable", "auto.offset.reset", "bootstrap.servers", "enable.auto.commit",
        "enable.auto.offset.store", "enable.idempotence", "enable.partition.eof", "group.id", "isolation.level",
        "logger", "metadata.broker.list", "partition.assignment.strategy", "request.required.acks",
        "statistics.interval.ms", "transaction.timeout.ms", "transactional.id",
    }
)  # fmt: skip
"""Settings that are not the user's: the guarantees rest on them. All others are, before what is set here."""


class QueueError(GatewayError):
    """Something is wrong with a queue, or with what was asked of one."""


class InvalidBrokers(QueueError):
    """Addresses of brokers, or a setting of librdkafka, that cannot be."""


class BrokerUnavailable(QueueError):
    """No broker answers in time."""


class UnknownTopic(QueueError):
    """A topic that the broker does not have."""


class NotAccepted(QueueError):
    """A record that the broker did not take."""


def given_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Return ``["security.protocol=SASL_SSL", …]`` as settings of librdkafka.

    Raises:
        InvalidBrokers: one is not ``NAME=VALUE``, is given twice, or is ours to say.
    """
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise InvalidBrokers(f"{quoted(pair)} is not a setting of librdkafka; accepted: NAME=VALUE")
        if name in OURS:
            raise InvalidBrokers(f"{name} is not to be set here; accepted: any setting but {', '.join(sorted(OURS))}")
        if name in given:
            raise InvalidBrokers(f"{name} is given twice; accepted: once")
        given[name] = value
    return given


def producer(brokers: str, given: Mapping[str, str], **own: Any) -> Producer:
    """Return a producer whose records are in order, once, and safe when they are acknowledged.

    Args:
        brokers: ``host:port`` with commas.
        given: settings of librdkafka.
        own: more of them, with ``_`` for ``.``.

    Raises:
        InvalidBrokers: one of these cannot be.
    """
    settings = {
        "enable.idempotence": True,
        "acks": "all",
        "message.max.bytes": MAX_RECORD_BYTES,
        "queue.buffering.max.kbytes": MAX_RECORD_BYTES >> 10,
    }
    return _made(Producer, settings | _dotted(own) | _common(brokers, given))


def reader(brokers: str, given: Mapping[str, str], *, group: str, isolation: str = "read_committed") -> Consumer:
    """Return a consumer that reads partitions which it is told, and joins no group.

    Args:
        group: whose committed offsets it may read; nothing is committed by itself.

    Raises:
        InvalidBrokers: one of these cannot be.
    """
    settings = {
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": isolation,
        "enable.partition.eof": True,
        "fetch.max.bytes": FETCHED_BYTES,
        "max.partition.fetch.bytes": FETCHED_BYTES >> 2,
        "queued.max.messages.kbytes": QUEUED_KBYTES,
        "fetch.queue.backoff.ms": BACKOFF_MS,
        "receive.message.max.bytes": RECEIVED_BYTES,
    }
    return _made(Consumer, settings | _common(brokers, given))


def member(
    brokers: str, given: Mapping[str, str], *, group: str, fetched: int, queued_kbytes: int, **own: Any
) -> Consumer:
    """Return a member of ``group``, which commits nothing by itself.

    Args:
        fetched: bytes that it asks for at once.
        queued_kbytes: that it holds of each partition ahead of whoever polls.
        own: more settings, with ``_`` for ``.``; ``on_commit`` and ``stats_cb`` are called from polls.

    Raises:
        InvalidBrokers: one of these cannot be.
    """
    settings = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "allow.auto.create.topics": True,
        "fetch.max.bytes": fetched,
        "max.partition.fetch.bytes": fetched,
        "queued.max.messages.kbytes": queued_kbytes,
        "fetch.queue.backoff.ms": BACKOFF_MS,
        "receive.message.max.bytes": RECEIVED_BYTES,
    }
    callbacks = {name: own.pop(name) for name in ("on_commit", "stats_cb") if name in own}
    return _made(Consumer, settings | _dotted(own) | _common(brokers, given) | callbacks)


def partitions_of(client: Producer | Consumer, topic: str, timeout_s: float = ANSWER_S) -> list[int]:
    """Return the partitions of ``topic``.

    Raises:
        BrokerUnavailable: nobody answers in time.
        UnknownTopic: there is no such topic, and the broker does not make one.
    """
    try:
        found = client.list_topics(topic, timeout=timeout_s).topics.get(topic)
    except KafkaException as error:
        raise fault(error.args[0], topic) from error
    if found is None or found.error is not None or not found.partitions:
        raise UnknownTopic(f"the broker has no topic {quoted(topic)}; make it, or name another")
    return sorted(found.partitions)


def ends_of(client: Consumer, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Return (first, one past the last) offset by partition, as a reader at this client's isolation sees them.

    Raises:
        BrokerUnavailable: nobody answers in time.
    """
    try:
        return {one: client.get_watermark_offsets(TopicPartition(topic, one), timeout=ANSWER_S) for one in partitions}
    except KafkaException as error:
        raise fault(error.args[0], topic) from error


def fault(error: KafkaError, topic: str) -> QueueError:
    """Return librdkafka's ``error`` in our words."""
    code = error.code()
    if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
        return UnknownTopic(f"the broker has no topic {quoted(topic)}; make it, or name another")
    if code in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE):
        return NotAccepted(
            f"a record is larger than the topic {quoted(topic)} takes (its max.message.bytes); send a reference instead"
        )
    if code in FENCED:
        return NotAccepted("another one like this began after it, and has taken its place")
    if code in _REFUSED:
        return NotAccepted(f"the broker refused: {error.str()} ({error.name()})")
    return BrokerUnavailable(f"no broker answered: {error.str()} ({error.name()})")


FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
_REFUSED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
    KafkaError._INVALID_ARG,
)


def _common(brokers: str, given: Mapping[str, str]) -> dict[str, Any]:
    for address in brokers.split(","):
        found = ADDRESS.fullmatch(address.strip())
        if found is None or int(found["port"] or 1) not in range(1, 2**16):
            raise InvalidBrokers(
                f"{quoted(address)} is not a broker's address; accepted: HOST:PORT, several with commas"
            )
    # librdkafka's own lines go where ours do, not to standard error.
    return {"bootstrap.servers": brokers, "logger": logger, **given}


def _dotted(own: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "."): value for name, value in own.items()}


def _made(kind: Callable[[dict[str, Any]], Client], settings: dict[str, Any]) -> Client:
    try:
        return kind(settings)
    except (KafkaException, TypeError, ValueError) as error:
        said = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise InvalidBrokers(f"librdkafka cannot run with these settings: {said}") from error
