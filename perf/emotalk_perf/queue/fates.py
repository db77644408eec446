"""The fate of every record of a partition, from the markers that transactions leave in the log.

A broker tells readers at ``read_committed`` which records were aborted. One that does not, as in
:mod:`emotalk_perf.queue.broker`, still has the markers. This reads them as they lie, in Fetch version 4 and record
batches version 2 of Kafka's protocol (https://kafka.apache.org/protocol): headers only, so that compression does not
matter.

A transactional batch waits for the next marker of its producer: COMMIT or ABORT. A batch outside of a transaction is
committed at once.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

TIMEOUT_S = 30.0
FETCH, VERSION = 1, 4
WAIT_MS = 500
"""For which the broker waits where there is nothing."""
MAX_BYTES = 256 << 20
"""Of one answer."""
BATCH = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset's delta, two times, producer, its epoch, base
sequence, records."""
AFTER_LENGTH = 12
"""Bytes before and of the length, which counts what follows."""
TRANSACTIONAL, CONTROL = 1 << 4, 1 << 5
"""Bits of the attributes."""
ABORT, COMMIT = 0, 1
"""Types of a marker."""


class UnexpectedLog(ValueError):
    """Bytes that are not what Kafka's protocol says."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Neighbouring records with one fate."""

    first: int
    last: int
    """Offsets."""
    producer: int
    transactional: bool = False
    marker: int | None = None
    """:data:`ABORT` or :data:`COMMIT`, where it is a marker and no records of anybody."""


@dataclass
class Fates:
    """Offsets of one partition, by fate."""

    committed: set[int] = field(default_factory=set)
    aborted: set[int] = field(default_factory=set)
    undecided: set[int] = field(default_factory=set)


def fates_of(batches: Iterator[Batch]) -> Fates:
    """Return the fate of every record in ``batches``, which lie in the order of the log."""
    fates = Fates()
    waiting: dict[int, set[int]] = {}
    for batch in batches:
        offsets = set(range(batch.first, batch.last + 1))
        if batch.marker is not None:
            decided = waiting.pop(batch.producer, set())
            (fates.committed if batch.marker == COMMIT else fates.aborted).update(decided)
        elif batch.transactional:
            waiting.setdefault(batch.producer, set()).update(offsets)
        else:
            fates.committed |= offsets
    fates.undecided.update(*waiting.values())
    return fates


def read_fates(address: str, topic: str, partition: int) -> Fates:
    """Return those of every record that the broker at ``address`` (``host:port``) has of a partition that it leads.

    Raises:
        OSError: it cannot be reached.
        UnexpectedLog: it does not answer as Kafka's protocol says.
    """
    return fates_of(_log(address, topic, partition))


def _log(address: str, topic: str, partition: int) -> Iterator[Batch]:
    host, _, port = address.rpartition(":")
    offset = 0
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        while True:
            end, log = _fetch(connection, topic, partition, offset)
            for batch in batches_in(log):
                if batch.last >= offset:
                    yield batch
                    offset = batch.last + 1
                    log = b""
            if offset >= end or log:
                return


def _fetch(connection: socket.socket, topic: str, partition: int, offset: int) -> tuple[int, bytes]:
    """Return the end of the partition and the batches from ``offset`` on."""
    at_once = struct.pack(">iiiib", -1, WAIT_MS, 1, MAX_BYTES, 0)
    place = struct.pack(">i", 1) + _text(topic) + struct.pack(">iiqi", 1, partition, offset, MAX_BYTES)
    body = struct.pack(">hhi", FETCH, VERSION, 0) + _text("emotalk-perf") + at_once + place
    connection.sendall(struct.pack(">i", len(body)) + body)
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    return answer_of(_exactly(connection, size))


def answer_of(answer: bytes) -> tuple[int, bytes]:
    """Return what a Fetch answered of the one partition that it asked for.

    Raises:
        UnexpectedLog: it is an error, or of another shape.
    """
    try:
        (length,) = struct.unpack_from(">h", answer, 12)  # after correlation, throttle, count of topics
        at = 14 + length + 4  # count of partitions
        _, error, end, _ = struct.unpack_from(">ihqq", answer, at)
        (aborted,) = struct.unpack_from(">i", answer, at + 22)
        at += 26 + 16 * max(aborted, 0)
        (size,) = struct.unpack_from(">i", answer, at)
    except struct.error as wrong:
        raise UnexpectedLog(f"an answer of {len(answer)} bytes that is not one of Fetch {VERSION}") from wrong
    if error:
        raise UnexpectedLog(f"the broker answered with error {error}")
    return end, answer[at + 4 : at + 4 + max(size, 0)]


def batches_in(log: bytes) -> Iterator[Batch]:
    """Yield the whole batches of ``log``; a broker may cut the last one off."""
    at = 0
    while at + BATCH.size <= len(log):
        base, length, _, magic, _, attributes, delta, _, _, producer, _, _, _ = BATCH.unpack_from(log, at)
        end = at + AFTER_LENGTH + length
        if magic != 2:
            raise UnexpectedLog(f"a batch of version {magic}; accepted: 2")
        if end > len(log):
            return
        marker = _marker(log[at + BATCH.size : end]) if attributes & CONTROL else None
        yield Batch(base, base + delta, producer, bool(attributes & TRANSACTIONAL), marker)
        at = end


def _marker(record: bytes) -> int:
    """Return the type of a marker: the second half of its record's key, after five numbers of variable length."""
    at = 0
    for skipped in ("length", "attributes", "time", "offset", "key's length"):
        if skipped == "attributes":
            at += 1
            continue
        while record[at] & 0x80:
            at += 1
        at += 1
    version, kind = struct.unpack_from(">hh", record, at)
    if version or kind not in (ABORT, COMMIT):
        raise UnexpectedLog(f"a marker of version {version} and type {kind}; accepted: version 0, type 0 or 1")
    return int(kind)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise UnexpectedLog(f"the broker hung up {count} bytes before the end of its answer")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
