"""A worker in a thread, and what comes of what it is sent."""

import contextlib
import json
import socket
import threading
import time
from dataclasses import replace

from confluent_kafka import Consumer, Producer, TopicPartition

from emotalk_client import AsyncEmoTalkClient
from emotalk_gateway.kafka.requests import Limits
from emotalk_gateway.kafka.settings import WorkerSettings
from emotalk_gateway.kafka.worker import Worker

WAIT_S = 30.0
QUICK = {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300", "reconnect.backoff.max.ms": "500"}
"""A group that is joined, and given up, soon."""


@contextlib.contextmanager
def working(address, queue, url, group="workers", *, wait=True, limits=None, **more):
    """A worker; it has ended when the block has."""
    settings = WorkerSettings(address, queue["requests"], queue["frames"], queue["dead"], group, given=QUICK)
    settings = replace(settings, limits=limits or Limits(), drain_s=10.0)
    worker = Worker(replace(settings, **more), lambda: AsyncEmoTalkClient(url, timeout_s=60, retries=0))
    ready, errors = threading.Event(), []

    def run():
        try:
            worker.run(ready.set)
        except BaseException as error:
            errors.append(error)
            raise

    worker.thread = threading.Thread(target=run)
    worker.thread.start()
    try:
        if wait:
            assert ready.wait(WAIT_S)
        yield worker
    finally:
        worker.stop()
        worker.thread.join(WAIT_S)
        assert not worker.thread.is_alive(), "the worker does not end"
    assert errors == []


def send(address, topic, *records, **settings):
    """Write (value, key, headers)."""
    producer = Producer({"bootstrap.servers": address, "message.max.bytes": 200_000_000, **settings})
    for value, key, headers in records:
        producer.produce(topic, value, key=key, headers=headers)
    assert producer.flush(WAIT_S) == 0


class Reader:
    """Every record of the answers and dead letters, as it comes."""

    def __init__(self, address, queue, partitions=2):
        self._consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "reconnect.backoff.max.ms": 500})
        places = [TopicPartition(queue["frames"], one, 0) for one in range(partitions)]
        self._consumer.assign([*places, *(TopicPartition(queue["dead"], one, 0) for one in range(partitions))])
        self._dead = queue["dead"]
        self.blocks, self.finals, self.dead = [], [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._consumer.close()

    def poll(self, timeout_s=0.1):
        """Take what has come."""
        for message in self._consumer.consume(500, timeout_s):
            if message.error() is None:
                headers = dict(message.headers())
                if message.topic() == self._dead:
                    self.dead.append((message, headers))
                else:
                    (self.finals if "final" in headers else self.blocks).append((message, headers))

    def ids(self):
        """Of the requests that were answered, in the order of their ends."""
        return [headers["request_id"].decode() for _, headers in self.finals]

    def await_(self, finals=0, dead=0, timeout_s=WAIT_S):
        """Poll until there are as many."""
        deadline = time.monotonic() + timeout_s
        while len(self.finals) < finals or len(self.dead) < dead:
            assert time.monotonic() < deadline, f"{len(self.finals)} answers, {len(self.dead)} dead letters"
            self.poll()
        return self

    def values(self, request_id):
        """(values of the blocks, what the end says) of the last answer to a request."""
        final, headers = [one for one in self.finals if one[1]["request_id"] == request_id.encode()][-1]
        blocks = [m.value() for m, h in self.blocks if h["attempt"] == headers["attempt"]]
        return blocks, json.loads(final.value())


def committed(address, queue, group, partitions=2):
    """The group's offsets."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": group})
    found = consumer.committed([TopicPartition(queue["requests"], one) for one in range(partitions)], timeout=10)
    consumer.close()
    return [max(0, one.offset) for one in found]


def nowhere():
    """host:port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"
