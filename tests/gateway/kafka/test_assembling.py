"""Answers put together: whole, or not at all."""

from dataclasses import replace

import numpy as np
import pytest
from answering import cut, rows, sha256
from hypothesis import given
from hypothesis import strategies as st

from emotalk_gateway.kafka.assembling import ATTEMPT_BYTES, Answer, Assembler, Block, Final, Trouble

pytestmark = pytest.mark.unit


def feed(assembler, blocks):
    return [trouble for block in blocks for trouble in assembler.add(block)]


def test_blocks_become_a_face():
    weights = rows(100)
    blocks, final = cut(weights, 30)
    assembler = Assembler()
    assert feed(assembler, blocks) == []
    assert assembler.waiting == {"r": 100}
    answer = assembler.end(final)
    assert isinstance(answer, Answer)
    assert np.array_equal(answer.face.weights, weights)
    assert answer.face.fps == 30
    assert answer.face.timecodes[3] == pytest.approx(0.1)
    assert not answer.again
    assert (assembler.waiting, assembler.bytes) == ({}, 0)
    assert assembler.knows("r")


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 15)), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_attempts_in_any_mixture_stay_apart(sizes, order):
    """Each attempt's records keep their order, as in a partition; among each other they come in any."""
    attempts = [cut(rows(frames, n), size, f"r{n}", f"a{n}") for n, (frames, size) in enumerate(sizes)]
    queues = [[*blocks, final] for blocks, final in attempts]
    assembler, answers = Assembler(), {}
    while queues:
        queue = order.choice(queues)
        record = queue.pop(0)
        if not queue:
            queues.remove(queue)
        if isinstance(record, Final):
            answers[record.request_id] = assembler.end(record)
        else:
            assert assembler.add(record) == []
    for n, (frames, _) in enumerate(sizes):
        assert np.array_equal(answers[f"r{n}"].face.weights, rows(frames, n))
    assert assembler.bytes == 0


@given(st.integers(2, 60), st.integers(1, 20), st.data())
def test_any_block_that_is_missing_or_doubled_is_noticed(frames, size, data):
    blocks, final = cut(rows(frames), size)
    place = data.draw(st.integers(0, len(blocks) - 1))
    doubled = data.draw(st.booleans())
    blocks[place : place + 1] = [blocks[place]] * 2 if doubled else []
    assembler = Assembler()
    feed(assembler, blocks)
    trouble = assembler.end(final)
    assert isinstance(trouble, Trouble)
    assert "missing" in trouble.why or "come again" in trouble.why or "final record says" in trouble.why
    assert assembler.bytes == 0


def test_an_attempt_that_was_left_half_done_costs_the_next_one_nothing():
    weights = rows(50)
    half, _ = cut(weights, 10, attempt="first")
    whole, final = cut(weights, 10, attempt="second")
    assembler = Assembler()
    feed(assembler, half[:3])
    feed(assembler, whole)
    assert np.array_equal(assembler.end(final).face.weights, weights)
    assert assembler.waiting == {"r": 30}


def test_an_answer_that_comes_again_is_told_and_another_one_is_not_believed():
    weights = rows(20)
    assembler = Assembler()
    for attempt, again in (("a", False), ("b", True), ("c", True)):
        blocks, final = cut(weights, 7, attempt=attempt)
        feed(assembler, blocks)
        assert assembler.end(final).again is again
    blocks, final = cut(rows(20, seed=1), 7, attempt="d")
    feed(assembler, blocks)
    assert "another answer" in assembler.end(final).why


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": 21}, "20 frames in 3 blocks are there; its final record says 21 in 3"),
        ({"blocks": 2}, "says 20 in 2"),
        ({"fps": 60.0}, "30 frames a second; its final record says 60"),
        ({"sha256": "0" * 64}, "have the checksum"),
        ({"attempt": "b"}, "20 frames are missing: none of its 3 blocks"),
        ({"attempt": "b", "frames": 0, "blocks": 0}, "without a frame"),
    ],
)
def test_an_end_that_does_not_fit_is_not_believed(change, words):
    blocks, final = cut(rows(20), 7)
    assembler = Assembler()
    feed(assembler, blocks)
    trouble = assembler.end(replace(final, **change))
    assert words in trouble.why
    assert "'r'" in str(trouble)
    assert not assembler.knows("r")


def test_a_rate_that_changes_in_the_middle_is_noticed():
    blocks, final = cut(rows(20), 10)
    assembler = Assembler()
    feed(assembler, [blocks[0], replace(blocks[1], fps=25.0)])
    assert "25 frames a second after 30" in assembler.end(final).why


def test_more_frames_than_a_file_can_have_are_let_go(monkeypatch):
    monkeypatch.setattr("emotalk_gateway.kafka.assembling.MAX_FRAMES", 25)
    blocks, final = cut(rows(30), 10)
    assembler = Assembler()
    feed(assembler, blocks)
    assert assembler.bytes < ATTEMPT_BYTES + 100
    assert "more than 25 frames" in assembler.end(final).why


def test_what_never_ends_gives_way_to_what_does():
    size = ATTEMPT_BYTES + 10 * 208
    assembler = Assembler(max_bytes=5 * size)
    weights = rows(10)
    blocks, final = cut(weights, 5, "wanted", "x")
    assembler.add(blocks[0])
    told = []
    for n in range(1000):
        told += assembler.add(Block(f"r{n}", "a", 0, 30.0, rows(10)))
        if n == 2:
            told += assembler.add(blocks[1])  # it is alive: others are older
    assert assembler.bytes <= 5 * size
    assert told[0].request_id == "r0"
    assert "10 frames without a final record" in told[0].why
    assert len(told) + len(assembler.waiting) == 1001
    assert isinstance(assembler.end(final), Trouble)  # so long ago that it had to go too


def test_ends_without_blocks_cost_nothing():
    assembler = Assembler()
    for n in range(1000):
        assembler.end(Final(f"r{n}", "a", 10, 1, 30.0, sha256(rows(10))))
    assert assembler.bytes == 0


def test_only_so_many_requests_are_remembered(monkeypatch):
    monkeypatch.setattr("emotalk_gateway.kafka.assembling.MAX_KNOWN", 3)
    assembler = Assembler()
    for n in range(5):
        blocks, final = cut(rows(2), 2, f"r{n}")
        feed(assembler, blocks)
        assembler.end(final)
    assert [assembler.knows(f"r{n}") for n in range(5)] == [False, False, True, True, True]
