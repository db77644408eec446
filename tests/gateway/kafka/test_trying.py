"""A request is tried until it has an answer or a dead letter; the service and the broker are played by the test."""

import asyncio
import contextlib
import gc
import json
import time
import weakref

import numpy as np
import pytest

from emotalk_client.errors import ServerUnavailable
from emotalk_client.threads import in_thread
from emotalk_gateway.kafka import hearing, memory, records, trying
from emotalk_gateway.kafka.metrics import Metrics
from emotalk_gateway.kafka.records import Place
from emotalk_gateway.kafka.settings import WorkerSettings
from emotalk_gateway.kafka.trying import Trier, Work
from emotalk_gateway.kafka.writing import RecordTooLarge, WriteFailed
from emotalk_gateway.service.auditing import audited
from emotalk_gateway.service.request import Face

pytestmark = pytest.mark.unit

SETTINGS = WorkerSettings("nowhere:1", "requests", "frames", "dead", "workers")


class FakeBroker:
    """Takes records up to ``most`` bytes; ``away`` times none at all."""

    def __init__(self, most=10**6, away=0):
        self.most, self.away, self.kept, self.keys = most, away, [], []

    def writer(self, work):
        return FakeWriter(self, work.key)


class FakeWriter:
    def __init__(self, broker, key):
        self._broker, self._key, self._records = broker, key, []

    async def write(self, record):
        _, value, headers = record
        if len(value or b"") + records.beside(self._key, headers) > self._broker.most:
            raise RecordTooLarge("too large")
        self._records.append(record)

    async def finish(self, _place):
        if self._broker.away:
            self._broker.away -= 1
            raise WriteFailed("away")
        self._broker.kept += self._records
        self._broker.keys += [self._key] * len(self._records)

    async def forget(self):
        self._records.clear()


@pytest.fixture
def ended(monkeypatch, wav):
    """``ended(broker, errors, **work)``: the work, when it is over; the service fails of each of ``errors`` first."""

    def run(broker, errors=(), key=b"k", headers=(), value=None):
        errors, value = list(errors), wav(np.zeros(1600, np.float32)) if value is None else value

        async def faces(service, request):
            if errors:
                raise errors.pop(0)
            yield Face(0, np.zeros((300, 52), np.float32))

        monkeypatch.setattr(trying, "faces", faces)
        monkeypatch.setattr(trying, "FIRST_S", 0.0)
        work = Work(Place("requests", 0, 5), key, list(headers), value, len(value))

        async def whole():
            await asyncio.wait_for(Trier(None, SETTINGS, Metrics(), broker.writer).end(work), 20)

        asyncio.run(whole())
        return work

    return run


def topics_of(broker):
    return [topic for topic, _, _ in broker.kept]


def test_what_may_pass_is_tried_until_it_has_passed(ended):
    broker = FakeBroker(away=2)
    work = ended(broker, [ServerUnavailable("away")] * 7)
    assert topics_of(broker) == ["frames", "frames"]
    assert work.attempts == 10


def test_each_request_has_a_line_in_the_audit_log(ended, tmp_path):
    with audited(tmp_path / "audit.log"):
        ended(FakeBroker())
        ended(FakeBroker(), [ZeroDivisionError("ours")] * 9)
    names = ("door", "request", "operation", "outcome", "error")
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [[line[name] for name in names] for line in lines] == [
        ["kafka", "requests:0:5", "requests", "answered", None],
        ["kafka", "requests:0:5", "requests", "dead letter", "InternalError"],
    ]
    assert all(line["bytes_in"] > 3000 for line in lines)


def test_a_mistake_of_ours_is_tried_three_times(ended):
    broker = FakeBroker()
    assert ended(broker, [ZeroDivisionError("ours")] * 9).attempts == 3
    ((topic, _, headers),) = broker.kept
    assert topic == "dead"
    assert records.text_of(headers)["error_class"] == b"InternalError"


def test_answers_are_cut_smaller_where_the_broker_takes_less(ended):
    broker = FakeBroker(most=40_000)
    ended(broker)
    assert topics_of(broker) == ["frames"] * 5
    assert max(len(value) for _, value, _ in broker.kept) <= 40_000


@pytest.mark.parametrize("most", [150_000, 50_000, 1000])
def test_a_dead_letter_is_made_as_small_as_the_broker_asks(ended, most):
    broker = FakeBroker(most)
    headers = [("request_id", b"one"), *((f"note-{n}", b"x" * 900) for n in range(30))]
    ended(broker, key=b"k" * 1000, headers=headers, value=b"no sound" * 9000)
    ((topic, value, headers),) = broker.kept
    said = records.text_of(headers)
    assert (topic, said["request_id"], said["error_class"]) == ("dead", b"one", b"UnreadableAudio")
    assert (value is None) == (most < 150_000)
    assert ("note-0" in said) == (most > 1000)
    assert (broker.keys[0] is None) == (most == 1000)


def test_an_error_in_a_thread_holds_nothing_of_what_was_worked_on():
    class Much:
        pass

    def fail(much):
        raise ValueError(f"{type(much)}")

    async def whole():
        much = Much()
        seen = weakref.ref(much)
        with contextlib.suppress(ValueError):
            await in_thread(fail, much)
        del much
        return seen

    gc.disable()  # a cycle would be found some day, and held until then
    try:
        assert asyncio.run(whole())() is None
    finally:
        gc.enable()


def test_another_c_library_gives_nothing_back(monkeypatch):
    memory.give_back()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert memory._found()(0) == 0


def test_a_broker_is_away_when_nobody_was_heard_of_for_three_heartbeats(monkeypatch):
    now = time.monotonic()
    found = hearing.Hearing()

    def figures(*brokers):
        return json.dumps({"brokers": {f"{n}": {"state": s, "rxidle": r} for n, (s, r) in enumerate(brokers)}})

    monkeypatch.setattr(hearing.time, "monotonic", lambda: now + 60)
    assert found.fault() == "no broker was heard of for 60 s"
    found(figures(("UP", 25_000_000), ("DOWN", 0), ("UP", -1)))
    assert found.fault() == "no broker was heard of for 25 s"
    found(figures(("UP", 1_000_000), ("UP", 25_000_000)))
    assert found.fault() == ""
    found(figures())
    assert found.fault() == ""
