"""Requests in, answers out and dead letters back, on a real broker; the worker is played by the test."""

import json
import threading

import pytest
from answering import block_record, cut, final_record, rows
from broker import Broker, free_port, topics
from confluent_kafka import Consumer, Producer, TopicPartition

from emotalk_gateway.kafka import clients
from emotalk_gateway.kafka.assembling import Answer, Trouble
from emotalk_gateway.kafka.collecting import Collector, Died, NotAnswered
from emotalk_gateway.kafka.enqueueing import Enqueuer
from emotalk_gateway.kafka.replaying import Replayer

pytestmark = pytest.mark.server


@pytest.fixture
def queue(broker):
    """Topics of a test."""
    return topics(broker, partitions=2)


def everything(broker, topic, partitions=2):
    """All records of a topic, by partition and offset."""
    reader = Consumer({"bootstrap.servers": broker.address, "group.id": "unused", "enable.partition.eof": True})
    reader.assign([TopicPartition(topic, one, 0) for one in range(partitions)])
    found, ends = [], 0
    while ends < partitions:
        message = reader.poll(10)
        assert message is not None
        ends += message.error() is not None
        found += [message] if message.error() is None else []
    reader.close()
    return found


def write(broker, topic, records, key=b"k", **settings):
    """Write (value, headers) in order."""
    producer = Producer({"bootstrap.servers": broker.address, **settings})
    for value, headers in records:
        producer.produce(topic, value, key=key, headers=headers)
    assert producer.flush(20) == 0


def answer(weights, request_id, size=10, attempt="a", kind="float32"):
    blocks, final = cut(weights, size, request_id, attempt)
    return [*(block_record(block, kind) for block in blocks), final_record(final)]


def died(request_id=None, error_class="InvalidAudio", **more):
    given = {} if request_id is None else {"request_id": request_id}
    return given | {"error_class": error_class, "error": "too short", "attempts": "1", "offset": "0"} | more


def test_a_request_carries_what_the_contract_says(broker, queue):
    with Enqueuer(broker.address, queue["requests"]) as way:
        first = way.send(b"RIFF", name="one", key=b"anna", options={"level": 0.5}, answer="json", traceparent="00-1")
        second = way.send(b"s3://a/b", request_id="mine", key=b"anna")
        held = list(way.acknowledged())
    assert [(one.name, one.request_id) for one in held] == [("one", first), ("", "mine")]
    found = {m.offset(): m for m in everything(broker, queue["requests"])}
    assert [found[one.offset].value() for one in held] == [b"RIFF", b"s3://a/b"]
    assert len({one.partition for one in held}) == 1
    headers = dict(found[held[0].offset].headers())
    assert json.loads(headers.pop("options")) == {"level": 0.5}
    assert headers == {"request_id": first.encode(), "answer": b"json", "traceparent": b"00-1"}
    assert found[0].key() == b"anna"
    assert second == "mine"


def test_what_cannot_be_sent_is_told(broker, queue):
    with pytest.raises(clients.InvalidBrokers, match="HOST:PORT"):
        Enqueuer("here:there", queue["requests"])
    with pytest.raises(clients.InvalidBrokers, match=r"no.such"):
        Enqueuer(broker.address, queue["requests"], {"no.such": "1"})
    with pytest.raises(clients.BrokerUnavailable, match="no broker answered"):
        Enqueuer(f"127.0.0.1:{free_port()}", queue["requests"], timeout_s=0.5)
    with Enqueuer(broker.address, queue["requests"]) as way, pytest.raises(clients.NotAccepted, match="reference"):
        way.send(bytes(clients.MAX_RECORD_BYTES + 1))


def test_a_broker_that_went_away_is_told_in_time():
    with Broker(topics={"requests": 1}) as own, Enqueuer(own.address, "requests", timeout_s=1) as way:
        own.freeze()
        way.send(b"RIFF")
        with pytest.raises(clients.BrokerUnavailable):
            list(way.acknowledged())


@pytest.mark.parametrize("kind", ["float32", "json"])
def test_an_answer_is_collected_to_the_bit(broker, queue, kind):
    weights = rows(55)
    write(broker, queue["frames"], answer(weights, "r", kind=kind))
    with Collector(broker.address, queue["frames"]) as reader:
        (found,) = reader.all()
    assert isinstance(found, Answer)
    assert found.face.weights.tobytes() == weights.tobytes()
    assert found.face.fps == 30


def test_reading_goes_on_after_what_is_not_an_answer(broker, queue, caplog):
    junk = [(b"hello", {}), (None, {"request_id": "x"}), (b"[" * 100_000, {"request_id": "r", "final": "true"})]
    broken = answer(rows(20), "broken")
    broken[0] = (bytes(len(broken[0][0])), broken[0][1])  # other weights than the checksum's
    half = answer(rows(30), "half")[:2]
    write(broker, queue["frames"], [*junk, *broken, *half, *answer(rows(40), "well")])
    with Collector(broker.address, queue["frames"]) as reader:
        found = list(reader.all())
        assert reader.waiting == {"half": 20}
    assert [(type(one), one.request_id) for one in found] == [(Trouble, "broken"), (Answer, "well")]
    assert "checksum" in found[0].why
    assert sum("is not an answer" in line for line in caplog.messages) == 3


def test_asking_for_requests_waits_for_an_answer_or_a_dead_letter(broker, queue):
    with Collector(broker.address, queue["frames"], dead=queue["dead"], new=True) as reader:
        later = threading.Timer(
            0.5,
            lambda: [
                write(broker, queue["frames"], answer(rows(10), "other") + answer(rows(10), "mine")),
                write(broker, queue["dead"], [(b"", died("lost")), (b"", died("lost"))]),
            ],
        )
        later.start()
        found = {one.request_id: one for one in reader.of(["mine", "lost"], 20)}
        later.join()
    assert isinstance(found["mine"], Answer)
    assert found["lost"] == Died("lost", "InvalidAudio", "too short")
    assert set(found) == {"mine", "lost"}


def test_what_never_comes_is_told(broker, queue):
    with (
        Collector(broker.address, queue["frames"]) as reader,
        pytest.raises(NotAnswered, match="1 of 1 requests have neither an answer"),
    ):
        list(reader.of(["never"], 0.3))


def test_nothing_undecided_is_read_unless_asked_for(broker, queue):
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": queue["frames"]})
    producer.init_transactions(20)
    producer.begin_transaction()
    for value, headers in answer(rows(10), "r"):
        producer.produce(queue["frames"], value, key=b"k", headers=headers)
    assert producer.flush(20) == 0
    with Collector(broker.address, queue["frames"]) as reader:
        assert list(reader.all()) == []
    with Collector(broker.address, queue["frames"], isolation="read_uncommitted") as reader:
        assert len(list(reader.all())) == 1
    producer.commit_transaction(20)
    with Collector(broker.address, queue["frames"]) as reader:
        assert len(list(reader.all())) == 1


def test_reading_goes_on_when_the_broker_does():
    with Broker(topics={"frames": 1}) as own, Collector(own.address, "frames", new=True) as reader:
        own.freeze()
        assert reader.poll(0.5) == []
        own.thaw()
        write(own, "frames", answer(rows(10), "r"))
        assert next(reader.of(["r"], 30)).request_id == "r"


def letters(broker, queue, *more):
    """Two letters of one class and one of another."""
    there = {"topic": queue["requests"], "partition": "0"}
    records = [
        (b"1", died("r1", **there, answer="json")),
        (b"2", died("r2", error_class="UnreadableAudio", **there)),
        (b"3", died(None, **there, offset="7", attempts="2")),
        *more,
    ]
    write(broker, queue["dead"], records)


def replayed(broker, queue, *classes, dry=False, topic=None):
    with Replayer(broker.address, queue["dead"], topic, group=queue["dead"]) as replayer:
        return list(replayer.letters(classes, dry=dry))


def test_letters_go_back_as_they_were_and_once(broker, queue):
    letters(broker, queue)
    assert [one.request_id for one in replayed(broker, queue, dry=True)] == ["r1", "r2", f"{queue['requests']}-0-7"]
    assert everything(broker, queue["requests"]) == []
    assert [one.error_class for one in replayed(broker, queue, "InvalidAudio")] == ["InvalidAudio"] * 2
    sent = everything(broker, queue["requests"])
    assert [(m.value(), m.key()) for m in sent] == [(b"1", b"k"), (b"3", b"k")]
    assert dict(sent[0].headers()) == {"request_id": b"r1", "attempts": b"1", "answer": b"json"}
    assert dict(sent[1].headers()) == {"attempts": b"2", "request_id": f"{queue['requests']}-0-7".encode()}
    assert replayed(broker, queue, "InvalidAudio") == []
    assert [one.request_id for one in replayed(broker, queue)] == ["r2"]
    assert replayed(broker, queue) == []
    write(broker, queue["dead"], [(b"4", died("r4", topic=queue["requests"]))])
    assert [one.request_id for one in replayed(broker, queue)] == ["r4"]
    assert [m.value() for m in everything(broker, queue["requests"])] == [b"1", b"3", b"2", b"4"]


def test_a_letter_without_its_value_fetches_it(broker, queue):
    write(broker, queue["requests"], [(bytes(2_000_000), {"request_id": "big"})], **{"message.max.bytes": 3_000_000})
    (request,) = everything(broker, queue["requests"])
    there = {"topic": queue["requests"], "partition": str(request.partition()), "bytes": "2000000"}
    gone = there | {"offset": "99"}
    write(
        broker,
        queue["dead"],
        [(None, died("big", **there)), (None, died("gone", **gone)), (None, died("bare", bytes="1"))],
    )
    found = {one.request_id: one.problem for one in replayed(broker, queue)}
    assert found["big"] == ""
    assert "no longer at" in found["gone"]
    assert "which topic" in found["bare"]
    assert [len(m.value()) for m in everything(broker, queue["requests"])] == [2_000_000, 2_000_000]


def test_letters_that_are_none_are_passed_over(broker, queue, caplog):
    strange = [(b"x", {}), (b"y", died("r", error_class="../x", topic="t"))]
    letters(broker, queue, *strange)
    assert len(replayed(broker, queue)) == 3
    assert len(caplog.messages) >= 2


def test_two_replays_at_once_send_each_letter_once(broker, queue):
    letters(broker, queue)
    with Replayer(broker.address, queue["dead"], group=queue["dead"]) as first:
        sending = first.letters()
        next(sending)
        assert len(replayed(broker, queue)) == 2
        with pytest.raises(clients.QueueError, match="taken its place"):
            list(sending)
    assert len(everything(broker, queue["requests"])) == 3


def test_settings_that_are_ours_are_refused():
    assert clients.given_settings(["security.protocol=SSL", "a=b=c"]) == {"security.protocol": "SSL", "a": "b=c"}
    for wrong, words in [(["x"], "NAME=VALUE"), (["acks=1"], "not to be set"), (["a=1", "a=2"], "twice")]:
        with pytest.raises(clients.InvalidBrokers, match=words):
            clients.given_settings(wrong)
