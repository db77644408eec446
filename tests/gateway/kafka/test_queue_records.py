"""Records of a queue as a worker writes them, and settings of whoever writes."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_gateway.kafka import clients, records
from emotalk_gateway.kafka.records import Answer, Asked, InvalidHeaders, Kept, Place

pytestmark = pytest.mark.unit

PLACE = Place("requests", 3, 7)
HEADERS = st.lists(st.tuples(st.text(max_size=20), st.one_of(st.none(), st.binary(max_size=200))), max_size=8)


@given(HEADERS)
def test_any_headers_are_understood_or_refused(headers):
    try:
        found = records.asked(headers, PLACE)
    except InvalidHeaders:
        return
    assert 0 < len(found.request_id) <= records.MAX_ID
    assert found.answer in records.ANSWERS


@given(
    frames=st.lists(st.integers(0, 300), max_size=6),
    answer=st.sampled_from(records.ANSWERS),
    max_bytes=st.integers(20_000, 60_000),
    key_bytes=st.integers(0, 5000),
    request_id=st.text(min_size=1, max_size=records.MAX_ID),
)
def test_no_record_of_an_answer_is_too_large_and_no_frame_is_lost(frames, answer, max_bytes, key_bytes, request_id):
    way = Answer(Asked(request_id, answer), "a", max_bytes, key_bytes)
    weights = [np.random.default_rng(n).random((count, 52), np.float32) for n, count in enumerate(frames)]
    written = [record for block in weights for record in way.blocks(block, 30)]
    value, headers = way.end()
    for record in [*written, (value, headers)]:
        assert len(record[0]) + records.beside(None, record[1]) + key_bytes <= max_bytes
    rows = [
        np.frombuffer(value, "<f4") if answer == "float32" else np.float32(json.loads(value)).ravel()
        for value, _ in written
    ]
    joined = np.concatenate([*rows, np.empty(0, np.float32)]).tobytes()
    end = json.loads(value)
    assert joined == b"".join(one.tobytes() for one in weights)
    assert end["sha256"] == hashlib.sha256(joined).hexdigest()
    assert (end["frames"], end["blocks"]) == (sum(frames), len(written))
    firsts = [int(records.text_of(headers)["first_frame"]) for _, headers in written]
    counts = [int(records.text_of(headers)["frames"]) for _, headers in written]
    assert firsts == [sum(counts[:n]) for n in range(len(counts))]


@given(HEADERS, st.sampled_from(Kept), st.text(max_size=5000))
def test_a_dead_letter_says_why_whatever_the_request_was(headers, kept, words):
    found = records.dead_letter(headers, 9, PLACE, "UnreadableAudio", words, 3, kept)
    said = records.text_of(found)
    assert (said["error_class"], said["topic"], said["partition"], said["offset"], said["attempts"]) == (
        b"UnreadableAudio", b"requests", b"3", b"7", b"3",
    )  # fmt: skip
    assert ("bytes" in said) == (kept != Kept.ALL)


def test_the_smallest_dead_letter_is_small_and_known():
    headers = [("request_id", b"one"), *((f"note-{n}", b"x" * 600) for n in range(99))]
    found = records.dead_letter(headers, 9, PLACE, "UnreadableAudio", "w" * 5000, 3, Kept.NAME)
    assert records.beside(None, found) < 500
    assert records.text_of(found)["request_id"] == b"one"


@pytest.mark.parametrize("name", sorted(clients.OURS))
def test_settings_that_guarantees_rest_on_are_refused(name):
    with pytest.raises(clients.InvalidBrokers, match=f"{name} is not to be set here"):
        clients.given_settings([f"{name}=1"])


@pytest.mark.parametrize("kind", ["member", "reader", "producer"])
def test_no_setting_that_is_accepted_is_dropped(kind, monkeypatch):
    made = {}
    monkeypatch.setattr(clients, "_made", lambda _, settings: made.update(settings))
    own = {"member": {"group": "g", "fetched": 1, "queued_kbytes": 1}, "reader": {"group": "g"}, "producer": {}}[kind]
    names = ["fetch.max.bytes", "queued.max.messages.kbytes", "message.max.bytes", "fetch.queue.backoff.ms"]
    given = clients.given_settings(f"{name}=12345" for name in names)
    getattr(clients, kind)("localhost:9092", given, **own)
    assert {name: made[name] for name in names} == dict.fromkeys(names, "12345")
