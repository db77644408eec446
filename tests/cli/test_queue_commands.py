"""`emotalk enqueue`, `collect` and `replay` on a real broker; the worker is played by the test."""

import builtins
import json
import threading

import numpy as np
import pytest
from answering import block_record, cut, final_record, rows
from broker import topics
from confluent_kafka import Consumer, Producer, TopicPartition

from emotalk_cli.queue import NAME_CHARACTERS, file_name
from emotalk_client import Animation
from emotalk_client.errors import MissingExtra

pytestmark = pytest.mark.server


@pytest.fixture
def queue(broker):
    return topics(broker)


@pytest.fixture
def ask(run, broker, queue):
    """``ask("collect", …)`` with this test's broker and topics."""

    def invoke(command, *arguments):
        named = {
            "enqueue": ["--topic", queue["requests"]],
            "collect": ["--topic", queue["frames"], "--dead", queue["dead"]],
            "replay": ["--dead", queue["dead"], "--group", queue["dead"]],
        }[command]
        if "--wait" in arguments:
            named += ["--results", queue["frames"], "--dead", queue["dead"]]
        return run(command, *arguments, "--brokers", broker.address, *named)

    return invoke


def write(broker, topic, records):
    producer = Producer({"bootstrap.servers": broker.address})
    for value, headers in records:
        producer.produce(topic, value, key=b"k", headers=headers)
    assert producer.flush(20) == 0


def answer(request_id, frames=20):
    blocks, final = cut(rows(frames), 8, request_id)
    return [*map(block_record, blocks), final_record(final)]


def requests(broker, topic, count):
    """The first ``count`` records."""
    reader = Consumer({"bootstrap.servers": broker.address, "group.id": "unused"})
    reader.assign([TopicPartition(topic, 0, 0)])
    found = reader.consume(count, timeout=20)
    reader.close()
    assert len(found) == count
    return found


@pytest.fixture
def worker(broker, queue):
    """Answers as many requests as ``worker(count)`` says; what does not begin with RIFF dies."""

    def work(count):
        for message in requests(broker, queue["requests"], count):
            request_id = dict(message.headers())["request_id"].decode()
            if message.value().startswith(b"RIFF"):
                write(broker, queue["frames"], answer(request_id))
            else:
                died = {"request_id": request_id, "error_class": "NoAudio", "error": "!"}
                write(broker, queue["dead"], [(b"", died)])

    threads = []

    def start(count):
        threads.append(threading.Thread(target=work, args=(count,)))
        threads[0].start()

    yield start
    for thread in threads:
        thread.join()


def test_files_and_references_are_sent(ask, broker, queue, speech):
    said = ask("enqueue", speech, "s3://bucket/a b.wav", "--key", "anna", "--options", '{"level": 0.5, "joy": 1}')
    assert said.exit_code == 0, said.output
    sound, reference = requests(broker, queue["requests"], 2)
    assert sound.value() == speech.read_bytes()
    assert reference.value() == b"s3://bucket/a b.wav"
    assert {sound.key(), reference.key()} == {b"anna"}
    headers = dict(sound.headers())
    assert json.loads(headers["options"]) == {"level": 0.5, "joy": 1}
    assert headers["request_id"].decode() in said.stdout
    assert "speech" in said.stdout


def test_waiting_writes_the_faces(ask, worker, speech, tmp_path):
    worker(1)
    said = ask("enqueue", speech, "--wait", "-o", tmp_path / "out", "--format", "npy,csv")
    assert said.exit_code == 0, said.output
    assert np.array_equal(Animation.load(tmp_path / "out" / "speech.npy").weights, rows(20))
    assert (tmp_path / "out" / "speech.csv").is_file()
    assert "speech.npy" in said.stdout.replace("\n", "")


def test_waiting_tells_of_a_death_and_of_a_file_that_is_not_there(ask, worker, speech, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    worker(2)
    said = ask("enqueue", speech, tmp_path / "text.wav", tmp_path / "none.wav", "--wait")
    assert said.exit_code == 1
    assert "NoAudio: !" in said.stdout
    assert "20 frames" in said.stdout
    assert "none.wav: UnreadableAudio" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--options", "[]"], "a JSON object"),
        (["--options", '{"level": 7}'], "level"),
        (["--options", '{"fps": 1000}'], "1000"),
        (["--options", '{"colour": 1}'], "colour"),
        (["--answer", "xml"], "float32, json"),
        (["-o", "out"], "with --wait"),
        (["--timeout", "5"], "with --wait"),
        (["--wait", "--format", "npy"], "with --output"),
        (["--librdkafka", "acks=1"], "not to be set"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(ask, broker, queue, speech, arguments, words):
    said = ask("enqueue", speech, *arguments)
    assert said.exit_code != 0
    assert words in f"{said.output}{said.exception}".replace("\n", " ")
    reader = Consumer({"bootstrap.servers": broker.address, "group.id": "unused"})
    assert reader.get_watermark_offsets(TopicPartition(queue["requests"], 0), timeout=10) == (0, 0)
    reader.close()


def test_collect_writes_what_is_there(ask, broker, queue, tmp_path):
    half, _ = cut(rows(30), 10, "half")
    hostile = "../../etc/passwd"
    records = [*answer("a"), *map(block_record, half), (b"junk", {}), *answer(hostile), *answer("a")]
    write(broker, queue["frames"], records)
    write(broker, queue["dead"], [(b"", {"request_id": "d", "error_class": "InvalidAudio", "error": "too short"})])
    said = ask("collect", "-o", tmp_path / "out", "--format", "npy,json")
    assert said.exit_code == 0, said.output
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted(f"{file_name(one)}.{kind}" for one in ("a", hostile) for kind in ("npy", "json"))
    assert "2 answers, 1 dead letters, 0 answers that were not believed" in said.stdout
    assert "'half': 30 frames, and no final record" in said.stderr
    assert "InvalidAudio: too short" in said.stderr


def test_collect_waits_for_whom_it_was_asked(ask, broker, queue, tmp_path):
    later = threading.Timer(0.5, write, (broker, queue["frames"], answer("other") + answer("mine")))
    later.start()
    said = ask("collect", "-o", tmp_path, "--request-id", "mine", "--new", "--fps", "60")
    later.join()
    assert said.exit_code == 0, said.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npy"]
    assert len(Animation.load(tmp_path / "mine.npy", fps=60).weights) == 40


def test_collect_says_who_died_or_never_came(ask, broker, queue, tmp_path):
    write(broker, queue["dead"], [(b"", {"request_id": "d", "error_class": "InvalidAudio", "error": "too short"})])
    assert ask("collect", "-o", tmp_path, "--request-id", "d").exit_code == 1
    said = ask("collect", "-o", tmp_path, "--request-id", "never", "--timeout", "0.3")
    assert "'never'" in str(said.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--isolation", "none"], "read_committed"),
        (["--request-id", "a", "--follow"], "one of the two"),
        (["--timeout", "3"], "with --request-id"),
        (["--new"], "nothing is new yet"),
        (["--format", "xyz"], "xyz"),
    ],
)
def test_options_that_do_not_fit_are_refused(ask, tmp_path, arguments, words):
    said = ask("collect", "-o", tmp_path, *arguments)
    assert said.exit_code != 0
    assert words in f"{said.output}{said.exception}".replace("\n", " ")


def test_replay_shows_and_sends(ask, broker, queue):
    def letter(name, error_class):
        given = {"request_id": name, "error_class": error_class, "error": "why", "topic": queue["requests"]}
        return b"RIFF", given

    write(broker, queue["dead"], [letter("one", "InvalidAudio"), letter("two", "BadJson")])
    shown = ask("replay", "--dry-run")
    assert "would be sent to" in shown.stdout
    assert "one" in shown.stdout
    assert "BadJson: why" in shown.stdout
    sent = ask("replay", "--match", "error_class=BadJson")
    assert sent.exit_code == 0, sent.output
    assert "two" in sent.stdout
    assert "one" not in sent.stdout
    assert ask("replay").exit_code == 0
    assert "no dead letter" in ask("replay").stdout
    found = [dict(one.headers())["request_id"] for one in requests(broker, queue["requests"], 2)]
    assert found == [b"two", b"one"]
    assert "error_class=NAME" in ask("replay", "--match", "x=y").output


def test_any_request_has_a_name_of_its_own():
    ids = ["a", "A", "..", ".", "../x", "a/b", "a%2Fb", "é", "x" * 200, "x" * 201, "", " "]
    names = [file_name(one) for one in ids]
    assert len(set(names)) == len(ids)
    assert all("/" not in name and not name.startswith(".") and len(name) < NAME_CHARACTERS + 20 for name in names)


def test_a_missing_library_names_the_extra(run, speech, monkeypatch):
    real = builtins.__import__

    def none(name, *arguments, **more):
        if name.startswith("emotalk_gateway"):
            raise ImportError(f"No module named {name}", name="confluent_kafka")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", none)
    for command in (["enqueue", speech], ["collect", "-o", "x"], ["replay"]):
        said = run(*command)
        assert isinstance(said.exception, MissingExtra)
        assert "emotalk-triton[kafka]" in str(said.exception)
