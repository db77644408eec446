"""Records of answers and dead letters, read or refused."""

import json

import numpy as np
import pytest
from answering import FakeMessage, block_record, cut, final_record, rows
from hypothesis import given
from hypothesis import strategies as st

from emotalk_gateway.kafka.assembling import Block, Final
from emotalk_gateway.kafka.reading import InvalidRecord, read_answer, read_dead_letter
from emotalk_gateway.kafka.records import Answer, Asked

pytestmark = pytest.mark.unit


def message(value, headers):
    return FakeMessage(value, list(headers.items()))


@pytest.mark.parametrize("answer", ["float32", "json"])
def test_a_block_keeps_every_bit(answer):
    (block,), _ = cut(rows(7), 7)
    found = read_answer(message(*block_record(block, answer)))
    assert isinstance(found, Block)
    assert (found.request_id, found.attempt, found.first_frame, found.fps) == ("r", "a", 0, 30.0)
    assert found.weights.tobytes() == block.weights.tobytes()


def test_an_end_is_read():
    _, final = cut(rows(7), 3)
    assert read_answer(message(*final_record(final))) == final


def test_an_end_may_tell_of_an_emotion():
    answer = Answer(Asked("r"), "a", 10**6)
    (_,) = answer.blocks(rows(7), 30)
    silent = answer.end()
    answer.emotions = {"joy": 0.75, "calm": 0.25}
    value, headers = answer.end()
    assert json.loads(value) == json.loads(silent[0]) | {"emotions": {"joy": 0.75, "calm": 0.25}}
    assert read_answer(FakeMessage(value, headers)) == read_answer(FakeMessage(*silent))


@pytest.mark.parametrize(
    ("value", "change", "words"),
    [
        (b"", {}, "0 bytes"),
        (bytes(207), {}, "207 bytes; accepted: rows of 208"),
        (bytes(416), {}, "it has 2 frames, and says 1"),
        (np.full(52, np.nan, "<f4").tobytes(), {}, "not a number"),
        (bytes(208), {"frames": "-1"}, "frames is '-1'"),
        (bytes(208), {"frames": "²"}, "a whole number"),
        (bytes(208), {"first_frame": "1e3"}, "first_frame"),
        (bytes(208), {"first_frame": "9" * 5000}, "first_frame"),
        (bytes(208), {"fps": "nan"}, "fps"),
        (bytes(208), {"fps": "0"}, "fps"),
        (bytes(208), {"request_id": ""}, "request_id"),
        (bytes(208), {"request_id": "x" * 513}, "1 to 512 characters"),
        (bytes(208), {"attempt": ""}, "attempt"),
        (b"[[1, 2]]", {"format": "json"}, r"shape \(1, 2\)"),
        (b"[[1, 2], [3]]", {"format": "json"}, "a list of rows"),
        (b"[" * 100_000, {"format": "json"}, "a list of rows"),
        (b"[[" + b"1e99," * 51 + b"1]]", {"format": "json"}, "not a number"),
        (b"", {"final": "true"}, "its end is"),
        (b"[1]", {"final": "true"}, "its end is"),
        (b"[" * 100_000, {"final": "true"}, "its end is"),
        (b'{"frames": 1.5, "blocks": 1, "fps": 30, "sha256": ""}', {"final": "true"}, "1.5 frames"),
        (b'{"frames": 1, "blocks": true, "fps": 30, "sha256": ""}', {"final": "true"}, "True blocks"),
        (b'{"frames": 1, "blocks": 1, "fps": "x", "sha256": ""}', {"final": "true"}, "its end is"),
    ],
)
def test_what_is_not_an_answer_is_refused(value, change, words):
    headers = {"request_id": "r", "attempt": "a", "first_frame": "0", "frames": "1", "fps": "30", **change}
    with pytest.raises(InvalidRecord, match=words):
        read_answer(message(value, headers))


@given(
    st.binary(max_size=300),
    st.dictionaries(
        st.sampled_from(["request_id", "attempt", "first_frame", "frames", "fps", "format", "final"]),
        st.one_of(st.binary(max_size=20), st.sampled_from([b"1", b"30", b"json", b"true", b"a"])),
    ),
)
def test_any_record_is_read_or_refused(value, headers):
    try:
        found = read_answer(FakeMessage(value, list(headers.items())))
    except InvalidRecord:
        return
    assert isinstance(found, (Block, Final))


def test_a_record_without_headers_is_refused():
    with pytest.raises(InvalidRecord, match="request_id"):
        read_answer(FakeMessage(b"x"))
    with pytest.raises(InvalidRecord, match="error_class"):
        read_dead_letter(FakeMessage(None))


def test_a_dead_letter_is_read():
    headers = {"error_class": "UnreadableAudio", "error": "0 bytes", "attempts": "3", "topic": "t", "partition": "2"}
    found = read_dead_letter(message(b"", headers | {"offset": "7"}))
    assert (found.request_id, found.error_class, found.error, found.attempts) == (
        "t-2-7",
        "UnreadableAudio",
        "0 bytes",
        3,
    )
    assert read_dead_letter(message(b"", headers | {"request_id": "r", "attempts": "many"})).attempts == 1


def test_the_last_of_two_headers_counts():
    (block,), _ = cut(rows(1), 1)
    value, headers = block_record(block)
    assert read_answer(FakeMessage(value, [("attempt", "old"), *headers.items()])).attempt == "a"
    assert json.loads(final_record(cut(rows(1), 1)[1])[0])["duration_s"] == pytest.approx(1 / 30)
