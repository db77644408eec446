"""What nobody sends by mistake: one record must not end every worker, one after the other."""

import threading

import pytest
from broker import topics
from queueing import Reader, nowhere, send, working
from raw_records import send_raw

from emotalk_gateway.kafka import worker as module
from emotalk_gateway.kafka.collecting import Collector

pytestmark = pytest.mark.server


def test_a_header_whose_name_is_not_text_is_a_dead_letter(broker):
    queue = topics(broker, partitions=1)
    send_raw(broker.address, queue["requests"], b"unreadable", b"\xff\xfe")
    send(broker.address, queue["requests"], (b"no sound", None, []))
    with working(broker.address, queue, nowhere(), "hostile"), Reader(broker.address, queue, partitions=1) as reader:
        reader.await_(dead=2)
    (letter, headers), (_, after) = sorted(reader.dead, key=lambda one: one[1]["offset"])
    assert headers["error_class"] == b"InvalidHeaders"
    assert b"UTF-8" in headers["error"]
    assert letter.value() == b"unreadable"
    assert after["error_class"] == b"UnreadableAudio"


def test_readers_outlive_such_a_header_too(broker):
    queue = topics(broker, partitions=1)
    for topic in (queue["frames"], queue["dead"]):
        send_raw(broker.address, topic, b"unreadable", b"\xff\xfe")
    for _ in range(8):  # CPython specialises calls that are warm
        with Collector(broker.address, queue["frames"], dead=queue["dead"]) as reader:
            assert list(reader.all()) == []


def test_a_group_that_cannot_be_left_is_not_waited_for(broker, monkeypatch):
    queue, never = topics(broker, partitions=1), threading.Event()
    monkeypatch.setattr(module, "CLOSE_S", 0.3)

    class Stuck:
        def __init__(self, consumer):
            self._consumer = consumer

        def close(self):
            never.wait(30)
            self._consumer.close()

        def __getattr__(self, name):
            return getattr(self._consumer, name)

    with working(broker.address, queue, nowhere(), "hostile") as worker:
        worker._consumer = Stuck(worker._consumer)
        worker.stop()
        worker.thread.join(10)
        ended = not worker.thread.is_alive()
        never.set()
    assert ended
