"""Records' fates, read from the log of a real broker."""

import pytest
from broker import topics
from confluent_kafka import Producer

from emotalk_perf.queue.fates import ABORT, COMMIT, Batch, UnexpectedLog, answer_of, batches_in, fates_of, read_fates

pytestmark = pytest.mark.server


def producer(broker, name=None, **settings):
    named = {"transactional.id": name} if name else {}
    made = Producer({"bootstrap.servers": broker.address, "linger.ms": 50, **named, **settings})
    if name:
        made.init_transactions(20)
    return made


def test_committed_aborted_undecided_and_outside(broker):
    topic = topics(broker)["frames"]
    plain, one, two = producer(broker), producer(broker, "one"), producer(broker, "two", **{"compression.type": "gzip"})
    one.begin_transaction()
    one.produce(topic, b"0")
    one.produce(topic, b"1")
    one.commit_transaction()  # 2
    two.begin_transaction()
    two.produce(topic, b"3")
    two.flush()
    plain.produce(topic, b"4")
    plain.flush()
    two.abort_transaction()  # 5
    one.begin_transaction()
    one.produce(topic, b"6")
    one.flush()
    found = read_fates(broker.address, topic, 0)
    assert found.committed == {0, 1, 4}
    assert found.aborted == {3}
    assert found.undecided == {6}
    producer(broker, "one")  # takes its place, which ends what it left open
    assert read_fates(broker.address, topic, 0).aborted == {3, 6}


def test_many_answers_are_joined(broker, monkeypatch):
    monkeypatch.setattr("emotalk_perf.queue.fates.MAX_BYTES", 20_000)
    topic = topics(broker)["frames"]
    plain = producer(broker)
    for _ in range(30):
        plain.produce(topic, bytes(5_000))
        plain.flush()
    assert read_fates(broker.address, topic, 0).committed == set(range(30))
    assert read_fates(broker.address, topics(broker)["frames"], 0).committed == set()


def test_markers_of_one_producer_decide_nothing_of_another():
    log = [Batch(0, 1, 7, True), Batch(2, 2, 8, True), Batch(3, 3, 7, True, ABORT), Batch(4, 4, 8, True, COMMIT)]
    found = fates_of(iter(log))
    assert (found.committed, found.aborted, found.undecided) == ({2}, {0, 1}, set())


def test_strange_bytes_are_told():
    with pytest.raises(UnexpectedLog, match="not one of Fetch"):
        answer_of(b"1234567890")
    with pytest.raises(UnexpectedLog, match="version 0"):
        list(batches_in(bytes(61)))
    assert list(batches_in(bytes(60))) == []
