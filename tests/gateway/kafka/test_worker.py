"""A worker between a real broker and a real Triton: answers, order, dead letters, and what it outlives."""

import io
import json

import numpy as np
import pytest
from broker import Broker, Cable, free_port, topics
from confluent_kafka import Producer
from queueing import Reader, committed, nowhere, send, working
from waiting import until

from emotalk_gateway.kafka import hearing
from emotalk_gateway.kafka import worker as module
from emotalk_gateway.kafka.references import Allowed
from emotalk_gateway.kafka.requests import Limits
from emotalk_gateway.kafka.status import answer as status_of
from emotalk_perf.queue.work import poison as poison_of

pytestmark = pytest.mark.server


@pytest.fixture
def queue(broker):
    return topics(broker, partitions=2)


@pytest.fixture(scope="module")
def clips(wav, voice):
    """Files of 0.3, 0.6, … s."""
    return [wav(voice[: int(0.3 * 16000 * number)]) for number in range(1, 7)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clips):
    path = tmp_path_factory.mktemp("named")
    (path / "clip.wav").write_bytes(clips[2])
    (path / "out").symlink_to("/etc")
    return path


@pytest.fixture(scope="module")
def shared(broker, triton, folder):
    """One worker for all tests that need no other."""
    queue = topics(broker, partitions=2)
    limits = Limits(max_bytes=8 << 20, max_audio_s=60, allowed=Allowed((folder,), frozenset({"named.example"})))
    with (
        working(broker.address, queue, triton.grpc_url, limits=limits, max_record_bytes=20_000) as worker,
        Reader(broker.address, queue) as reader,
    ):
        worker.queue, worker.reader = queue, reader
        yield worker


def test_every_kind_of_request_has_the_face_of_animate(broker, shared, clips, folder, thin, voice):
    samples = voice[:14400].astype("<f4")
    old = {"request_id": "x", "audio_data": samples.tobytes().hex(), "emotion_level": 1, "person_id": 3, "timestamp": 1}
    trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    kinds = {
        "file": (clips[2], []),
        "json": (clips[2], [("answer", b"json")]),
        "reference": (f"file://{folder}/clip.wav".encode(), []),
        "options": (clips[2], [("options", b'{"level": 0.3, "person": 3}')]),
        "old": (json.dumps(old).encode(), []),
    }
    records = [(value, b"k", [("request_id", name.encode()), trace, *more]) for name, (value, more) in kinds.items()]
    send(broker.address, shared.queue["requests"], *records)
    shared.reader.await_(finals=5)
    plain, styled = thin.animate(io.BytesIO(clips[2])), thin.animate(io.BytesIO(clips[2]), level=0.3, person=3)
    hexed = thin.animate(samples, sample_rate=16000, level=1, person=3)
    for name, face in {"file": plain, "json": plain, "reference": plain, "options": styled, "old": hexed}.items():
        blocks, end = shared.reader.values(name)
        rows = [np.array(json.loads(b)) if name == "json" else np.frombuffer(b, "<f4").reshape(-1, 52) for b in blocks]
        assert np.allclose(np.concatenate(rows), face.weights, atol=1e-5), name
        assert (end["frames"], end["blocks"], end["fps"]) == (len(face), len(blocks), 30)
    for message, headers in shared.reader.blocks + shared.reader.finals:
        assert (message.key(), headers["traceparent"]) == (b"k", trace[1])
    assert shared.reader.ids() == list(kinds)


def test_answers_are_cut(broker, shared, wav, voice):
    send(broker.address, shared.queue["requests"], (wav(voice[:80000]), b"k" * 3000, [("request_id", b"cut")]))
    until(lambda: shared.reader.poll() or "cut" in shared.reader.ids())
    blocks, end = shared.reader.values("cut")
    assert len(blocks) > 1
    assert sum(map(len, blocks)) == end["frames"] * 208
    assert max(map(len, blocks)) + 3000 < 20_000


POISON = {
    "not audio": (b"a text, not a sound", [], "UnreadableAudio"),
    "0 bytes": (b"", [], None),
    "none": (None, [], None),
    "too large": (bytes(9 << 20), [], "UploadTooLarge"),
    "deep JSON": (b'{"audio_data":' + b"[" * 100_000, [], "InvalidJson"),
    "odd JSON": (b'{"audio_data": "xyz"}', [], "InvalidJson"),
    "other file": (b"file:///etc/passwd", [], "InvalidReference"),
    "other host": (b"https://evil.example/x", [], "InvalidReference"),
    "odd address": (b"https://named.example/\x7f", [], "InvalidReference"),
    "other bucket": (b"s3://not-named/x", [], "InvalidReference"),
    "option": (b"RIFF", [("options", b'{"level": 1e400}')], None),
    "huge option": (b"RIFF", [("options", b'{"level": 1' + b"0" * 400 + b"}")], "LevelOutOfRange"),
    "options": (b"RIFF", [("options", b"[" * 100_000)], "InvalidHeaders"),
    "answer": (b"RIFF", [("answer", b"xml")], "InvalidHeaders"),
    "headers": (b"RIFF", [("note", b"x" * 100_000)], "InvalidHeaders"),
}


def test_poison_dies_with_its_reason_and_the_rest_goes_on(broker, shared, clips, wav):
    poison = dict(POISON)
    poison["NaN"] = (poison_of("NaN", 0), [], None)
    poison["long"] = (wav(np.zeros(61 * 16000, np.float32), "FLAC"), [], "ClipTooLong")
    poison["link"] = (
        f"file://{shared._settings.limits.allowed.folders[0]}/out/passwd".encode(),
        [],
        "InvalidReference",
    )
    records = [(value, b"k", [("request_id", name.encode()), *more]) for name, (value, more, _) in poison.items()]
    before = len(shared.reader.finals)
    send(broker.address, shared.queue["requests"], *records, (clips[0], b"k", [("request_id", b"after")]))
    shared.reader.await_(before + 1, len(poison))
    assert shared.reader.ids()[-1] == "after"
    found = {headers["request_id"].decode(): (message, headers) for message, headers in shared.reader.dead}
    assert list(found) == list(poison)
    for name, (value, _, kind) in poison.items():
        message, headers = found[name]
        said = headers["error_class"].decode()
        assert said == kind if kind else said not in ("InternalError", "WriteFailed"), (name, said, headers["error"])
        assert headers["attempts"] == b"1"
        assert headers["topic"].decode() == shared.queue["requests"]
        kept = (value or b"") if len(value or b"") < 11_000 and name not in ("headers", "options") else None
        assert (message.value() or None) == (kept or None), name
    assert found["too large"][1]["bytes"] == b"%d" % (9 << 20)


def test_a_request_without_an_id_is_known_by_its_place(broker, shared, clips):
    before = len(shared.reader.finals)
    send(broker.address, shared.queue["requests"], (clips[0], None, []))
    shared.reader.await_(before + 1)
    assert shared.reader.ids()[-1].rpartition("-")[0][:-2] == shared.queue["requests"]


def test_the_three_truths_and_the_figures(shared):
    for path in ("/health/live", "/health/ready", "/health"):
        assert status_of(shared, path)[::2] == (200, b'{"status": "ok"}'), path
    said = status_of(shared, "/metrics")[2].decode()
    for name in ("answers_total", "speech_seconds_total", "in_flight", "lag", "dead_letters_total", "retries"):
        assert f"emotalk_worker_{name}" in said
    assert status_of(shared, "/else")[0] == 404


def test_of_a_key_in_order_and_keys_at_once(broker, queue, triton, clips):
    records = [(clips[5 - n % 6], b"key-%d" % (n % 3), [("request_id", b"%d" % n)]) for n in range(18)]
    send(broker.address, queue["requests"], *records)
    most = 0
    with (
        working(broker.address, queue, triton.grpc_url, concurrency=3) as worker,
        Reader(broker.address, queue) as reader,
    ):
        while len(reader.finals) < 18:
            reader.poll(0.01)
            most = max(most, len(worker._trier.trying))
    assert 1 < most <= 3
    for key in range(3):
        assert [int(one) for one in reader.ids() if int(one) % 3 == key] == list(range(key, 18, 3))
    assert sum(committed(broker.address, queue, "workers")) == 18


def test_whoever_waits_for_a_host_keeps_nobody_else_waiting(broker, queue, triton, clips):
    there = nowhere()
    limits = Limits(allowed=Allowed(hosts=frozenset({there})))
    lost = [(f"https://{there}/x".encode(), b"lost-%d" % n, []) for n in range(5)]
    with (
        working(broker.address, queue, triton.grpc_url, concurrency=1, limits=limits) as worker,
        Reader(broker.address, queue) as reader,
    ):
        send(broker.address, queue["requests"], *lost)
        until(lambda: b'retries_total{error="ReferenceUnavailable"}' in worker.metrics.exposition())
        send(broker.address, queue["requests"], (clips[0], b"well", [("request_id", b"well")]))
        reader.await_(1)
        assert reader.ids() == ["well"]
        assert reader.dead == []
    # The answered one stands behind others of its partition: nothing is committed over them.
    assert sum(committed(broker.address, queue, "workers")) <= 1


def test_a_triton_that_is_away_is_waited_for(broker, queue, triton, clips):
    with (
        Cable(int(triton.grpc_url.rpartition(":")[2])) as cable,
        working(broker.address, queue, cable.address) as worker,
        Reader(broker.address, queue) as reader,
    ):
        cable.cut()
        send(broker.address, queue["requests"], *((clip, b"k", []) for clip in clips))
        until(lambda: b'retries_total{error="ServerUnavailable"} 2' in worker.metrics.exposition())
        assert status_of(worker, "/health/ready")[0] == 503
        assert status_of(worker, "/health/live")[0] == 200
        cable.mend()
        reader.await_(len(clips))
        assert reader.dead == []


def test_a_broker_that_comes_late_and_goes_away(triton, clips):
    port = free_port()
    queue = {"requests": "requests", "frames": "frames", "dead": "dead"}
    with working(f"127.0.0.1:{port}", queue, triton.grpc_url, wait=False) as worker:
        assert not worker.assigned.wait(0.5)
        assert status_of(worker, "/health/ready")[0] == 503
        with Broker(port, dict.fromkeys(queue.values(), 1)) as late:
            assert worker.assigned.wait(30)
            with Reader(late.address, queue, 1) as reader:
                send(late.address, "requests", (clips[0], b"k", []), (clips[1], b"k", []))
                reader.await_(2)
                late.freeze()
                late.thaw()
                send(late.address, "requests", (clips[0], b"k", [("request_id", b"thawed")]))
                reader.await_(3)


@pytest.mark.parametrize("transactions", [False, True], ids=["plain", "transactions"])
def test_a_worker_ends_though_the_broker_stands_still(triton, wav, voice, monkeypatch, transactions):
    clip = wav(np.resize(voice, 20 * 16000))
    with Broker(topics={"requests": 1, "frames": 1, "dead": 1}) as own:
        queue = {"requests": "requests", "frames": "frames", "dead": "dead"}
        with working(own.address, queue, triton.grpc_url, drain_s=1.0, transactions=transactions) as worker:
            send(own.address, queue["requests"], (clip, b"k", []))
            until(lambda: worker._trier.trying)  # it will be answered, and nobody will take the answer
            own.freeze()
            monkeypatch.setattr(hearing, "SILENT_S", 1.5)
            until(lambda: status_of(worker, "/health/ready")[0] == 503)
            assert b"no broker was heard of" in status_of(worker, "/health/ready")[2]
            assert status_of(worker, "/health/live")[0] == 200
            worker.stop()
            worker.thread.join(20)
            assert not worker.thread.is_alive()
            own.thaw()


def test_what_was_begun_is_finished_and_committed(broker, queue, triton, wav, voice, clips):
    clip = wav(np.resize(voice, 10 * 16000))
    with Reader(broker.address, queue) as reader:
        with working(broker.address, queue, triton.grpc_url, concurrency=1, drain_s=30) as worker:
            records = [(clip, b"k", [("request_id", b"long")]), (clips[0], b"k", []), (clips[0], b"k", [])]
            send(broker.address, queue["requests"], *records)
            until(lambda: worker._trier.trying)
        reader.await_(1)
        assert reader.ids() == ["long"]
        assert sum(committed(broker.address, queue, "workers")) == 1
        with working(broker.address, queue, triton.grpc_url):
            reader.await_(3)


def test_few_records_are_held_and_all_are_answered(broker, queue, triton, clips, monkeypatch):
    monkeypatch.setattr(module, "MAX_RECORDS", 4)
    paused = []
    send(broker.address, queue["requests"], *((clips[0], b"%d" % n, []) for n in range(30)))
    with working(broker.address, queue, triton.grpc_url) as worker, Reader(broker.address, queue) as reader:
        while len(reader.finals) < 30:
            reader.poll(0.01)
            paused.append(worker._paused)
            assert len(worker._lanes) <= 4
    assert True in paused
    assert sum(committed(broker.address, queue, "workers")) == 30


@pytest.mark.parametrize("transactions", [False, True], ids=["plain", "transactions"])
def test_a_second_worker_takes_its_share_and_nothing_is_lost(broker, queue, triton, clips, transactions):
    way = (broker.address, queue, triton.grpc_url)
    records = [(clips[n % 6], b"key-%d" % (n % 4), [("request_id", b"%d" % n)]) for n in range(24)]
    with Reader(broker.address, queue) as reader, working(*way, transactions=transactions):
        send(broker.address, queue["requests"], *records)
        reader.await_(3)
        with working(*way, transactions=transactions) as second:
            until(lambda: second._marks or len(reader.finals) >= 24 or reader.poll())
            until(lambda: reader.poll() or len(set(reader.ids())) == 24)
    assert set(reader.ids()) == {str(n) for n in range(24)}
    if transactions:
        assert len(reader.ids()) == 24
    digests = {}
    for message, headers in reader.finals:
        assert digests.setdefault(headers["request_id"], json.loads(message.value())["sha256"])
    assert sum(committed(broker.address, queue, "workers")) == 24


def test_whoever_is_fenced_asks_the_group_and_answers_once(triton, clips):
    queue = {"requests": "requests", "frames": "frames", "dead": "dead"}
    with (
        # A broker of its own: Tansu keeps others waiting after a fenced producer.
        Broker(topics=dict.fromkeys(queue.values(), 2)) as broker,
        working(broker.address, queue, triton.grpc_url, transactions=True) as worker,
        Reader(broker.address, queue) as reader,
    ):
        send(broker.address, queue["requests"], *((clips[0], b"%d" % n, []) for n in range(4)))
        reader.await_(4)
        for partition in range(2):
            name = f"workers.{queue['requests']}.{partition}"
            Producer({"bootstrap.servers": broker.address, "transactional.id": name}).init_transactions(20)
        send(broker.address, queue["requests"], *((clips[0], b"%d" % n, []) for n in range(4)))
        reader.await_(8)
        assert b'retries_total{error="WriteFailed"}' in worker.metrics.exposition()
        assert len(set(reader.ids())) == len(reader.ids()) == 8
        until(lambda: sum(committed(broker.address, queue, "workers")) == 8)
