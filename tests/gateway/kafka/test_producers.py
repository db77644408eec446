"""Producers that fail for good: whoever waits for one is told, and the next writer has another one."""

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException

from emotalk_gateway.kafka.records import Place
from emotalk_gateway.kafka.writing import Plain, Producers, WriteFailed

pytestmark = pytest.mark.unit
FATAL = KafkaError(KafkaError._FATAL, "out of order", fatal=True)


class Message:
    def topic(self):
        return "frames"


class FakeProducer:
    """Fails for good when it is told to: then it refuses, says so once when polled, and reports what it held."""

    def __init__(self):
        self.broken = self._said = False
        self._reports = []

    def __len__(self):
        return len(self._reports)

    def produce(self, *_, on_delivery, **__):
        if self.broken:
            raise KafkaException(FATAL)
        self._reports.append(on_delivery)

    def poll(self, _):
        if self.broken and not self._said:
            self._said = True
            raise KafkaException(FATAL)
        for report in self._reports:
            report(KafkaError(KafkaError._PURGE_QUEUE) if self.broken else None, Message())
        self._reports = []


def test_who_waits_for_a_producer_that_was_given_up_is_told():
    async def main():
        producers = Producers(FakeProducer)
        first = producers.now
        waits, comes = Plain(producers, None), Plain(producers, None)
        await waits.write(("frames", b"", []))
        first.broken = True
        with pytest.raises(WriteFailed):
            await comes.write(("frames", b"", []))
        assert producers.now is not first
        waiting = asyncio.create_task(waits.finish(Place("t", 0, 1)))
        producers.poll()
        producers.poll()
        with pytest.raises(WriteFailed):
            await asyncio.wait_for(waiting, 5)
        after = Plain(producers, None)
        await after.write(("frames", b"", []))
        producers.poll()
        await asyncio.wait_for(after.finish(Place("t", 0, 1)), 5)

    asyncio.run(main())


def test_a_poll_that_says_so_ends_nobody():
    producers = Producers(FakeProducer)
    first = producers.now
    first.broken = True
    producers.poll()
    assert producers.now is not first
