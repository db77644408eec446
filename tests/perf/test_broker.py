"""The broker that other tests stand on: it runs, stops, stands still and is cut off."""

import pytest
from broker import Broker, Cable, free_port, topics
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

pytestmark = pytest.mark.server


def names(address):
    return set(AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).topics)


def send(address, topic, value):
    producer = Producer({"bootstrap.servers": address, "message.max.bytes": 200_000_000})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def sizes(address, topic, count):
    """The lengths of the first ``count`` records."""
    from confluent_kafka import TopicPartition

    reader = Consumer({"bootstrap.servers": address, "group.id": "unused", "enable.auto.commit": False})
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        return [len(message.value()) for message in reader.consume(count, timeout=20)]
    finally:
        reader.close()


def test_it_holds_large_records(broker):
    topic = topics(broker)["requests"]
    send(broker.address, topic, b"")
    send(broker.address, topic, bytes(3_000_000))
    assert sizes(broker.address, topic, 2) == [0, 3_000_000]


def test_it_starts_again_on_its_port_with_its_topics_and_without_its_records():
    with Broker(free_port(), {"here": 2}) as own:
        address, before = own.address, own.pid
        own.create({"there": 1})
        assert {"here", "there"} <= names(address)
        own.restart()
        assert own.address == address
        assert own.pid != before
        assert "here" in names(address)
        assert "there" not in names(address)
        own.stop()
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": address}).list_topics(timeout=0.5)


def test_it_stands_still_and_goes_on():
    with Broker(topics={"here": 1}) as own:
        send(own.address, "here", b"before")
        own.freeze()
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": own.address}).list_topics(timeout=0.5)
        own.thaw()
        assert sizes(own.address, "here", 1) == [6]


def test_a_cable_is_cut_and_mended():
    port = free_port()
    with Cable(port) as cable, Broker(port, {"here": 1}, advertised_port=cable.port) as own:
        send(cable.address, "here", b"before")
        cable.cut()
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": cable.address}).list_topics(timeout=0.5)
        cable.mend()
        assert sizes(cable.address, "here", 1) == [6]
        assert "here" in names(own.address)
