"""The judge of a queue: each kind of mistake is seen, and nothing else."""

import random
from dataclasses import replace

import numpy as np
import pytest
from answering import FakeMessage, block_record, cut, final_record, rows

from emotalk_perf.queue import attack, report, soak, throughput, work
from emotalk_perf.queue.judge import judge
from emotalk_perf.queue.work import Request

pytestmark = pytest.mark.unit

SENT = [
    Request("one", "k1", b"", 1.0, rows(30, 1)),
    Request("bad", "k1", b""),
    Request("two", "k2", b"", 1.0, rows(20, 2)),
    Request("three", "k1", b"", 1.0, rows(10, 3)),
]
LETTER = {"request_id": "bad", "error_class": "UnreadableAudio", "error": "no sound", "attempts": "1"}


def answer(request, attempt="a", key=None, weights=None):
    blocks, final = cut(request.weights if weights is None else weights, 8, request.request_id, attempt)
    records = [*map(block_record, blocks), final_record(final)]
    return [FakeMessage(value, list(headers.items()), (key or request.key).encode()) for value, headers in records]


def letter(**change):
    return FakeMessage(b"", list((LETTER | change).items()))


def well():
    return [message for request in (SENT[0], SENT[2], SENT[3]) for message in answer(request)]


def wrongs(answers, letters=None, exactly_once=True):
    return judge(SENT, answers, [letter()] if letters is None else letters, exactly_once=exactly_once).wrongs


def test_all_is_well():
    verdict = judge(SENT, well(), [letter()], exactly_once=True)
    assert verdict.wrongs == []
    assert (verdict.requests, verdict.answered, verdict.poisonous, verdict.died) == (3, 3, 1, 1)
    assert (verdict.repeated, verdict.unfinished, verdict.died_again) == (0, 0, 0)
    assert verdict.reasons == {"UnreadableAudio": 1}


def test_what_comes_again_whole_and_equal_is_allowed_without_transactions_only():
    again = well() + answer(SENT[0], attempt="b")
    verdict = judge(SENT, again, [letter(), letter()], exactly_once=False)
    assert verdict.wrongs == []
    assert (verdict.repeated, verdict.died_again) == (1, 1)
    assert wrongs(again) == ["one: 2 final answers; accepted: 1"]
    assert wrongs(well(), [letter(), letter()]) == ["1 dead letters came again; accepted: 0"]


def test_an_attempt_left_half_done_is_counted_and_allowed():
    verdict = judge(SENT, answer(SENT[0], "dead")[:2] + well(), [letter()], exactly_once=True)
    assert (verdict.wrongs, verdict.unfinished) == ([], 1)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (lambda: well()[:-1], "three: no complete final answer"),
        (lambda: answer(SENT[0])[1:] + well()[5:], "one"),
        (lambda: answer(SENT[0], weights=rows(30, 1) + np.float32(1e-3)) + well()[5:], "off by 1.0e-03"),
        (lambda: answer(SENT[0], weights=rows(29, 1)) + well()[5:], "29 frames; accepted: 30"),
        (lambda: answer(SENT[0], "b", weights=rows(30, 7)) + well(), "another answer"),
        (lambda: answer(SENT[3]) + answer(SENT[0]) + answer(SENT[2]), "k1: answer 1 is to 'three'"),
        (lambda: answer(SENT[0], key="k9") + well()[5:], "has the key 'k9'"),
        (lambda: well() + answer(replace(SENT[0], request_id="nobody")), "nobody's request"),
        (lambda: well() + answer(replace(SENT[1], weights=rows(3))), "it is poison, and has 1 final answers"),
        (lambda: [FakeMessage(b"junk"), *well()], "request_id"),
    ],
)
def test_each_mistake_of_an_answer_is_seen(answers, words):
    assert any(words in wrong for wrong in wrongs(answers()))


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ([], "bad: poison without a dead letter"),
        ([letter(error_class="InternalError")], "without a reason"),
        ([letter(error="")], "without a reason"),
        ([letter(), letter(request_id="one")], "one: died"),
        ([letter(), FakeMessage(b"")], "error_class"),
    ],
)
def test_each_mistake_of_a_dead_letter_is_seen(letters, words):
    assert any(words in wrong for wrong in wrongs(well(), letters))


def test_lengths_are_many_short_and_few_long():
    found = work.lengths(500, 0.1, 60.0, random.Random(0))
    assert (len(found), min(found), max(found)) == (500, 0.1, 60.0)
    assert sum(one < 6 for one in found) > 250
    assert work.lengths(1, 0.1, 60.0, random.Random(0)) == [60.0]


def test_poisons_are_what_they_say():
    assert len(work.poison("zeros", 1000)) == 1000
    assert work.poison("0 bytes", 1) == b""
    assert work.poison("deep JSON", 1).count(b"[") == work.DEPTH
    assert b"WAVE" in work.poison("NaN", 1)


def outcome(**change):
    verdict = judge(SENT, well(), [letter()], exactly_once=True)
    plan = attack.Plan(3, triton_kills=1)
    known = attack.Outcome(plan, True, verdict, 3.0, 10.0, 2, 1, 1, 100 << 20, (4, 4))
    return replace(known, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"committed": (3, 4)}, "3 of 4 requests"),
        ({"peak_bytes": 400 << 20}, "a worker of 400 MiB; accepted: 350"),
        ({"peak_bytes": 300 << 20, "plan": attack.Plan(large_bytes=1, triton_kills=1)}, "a worker of 300 MiB"),
        ({"outages": 0}, "the broker never stood still"),
        ({"triton_kills": 0}, "killed 0 times"),
        ({"slow_stops": 1}, "had to be killed"),
        ({"left": ["a file"]}, "left behind: a file"),
        ({"tracebacks": ["worker-0: KeyError"]}, "printed: worker-0: KeyError"),
    ],
)
def test_each_limit_is_held(change, words):
    assert report.broken(outcome()) == []
    (said,) = report.broken(outcome(**change))
    assert words in said
    assert said.startswith("with --transactions: ")


def test_the_table_has_a_column_an_attack():
    text = report.markdown([outcome(transactions=False), outcome()])
    assert "| with a whole final answer | 3 | 3 |" in text
    assert "UnreadableAudio 1" in text
    assert '"broken": []' in report.as_json([outcome()])


def test_throughput_is_paired():
    slow = throughput.Throughput(10, 100.0, (10.0, 20.0, 30.0), (11.0, 20.0, 31.0), False)
    assert slow.ratio == pytest.approx(30 / 31)
    assert throughput.broken([slow]) == []
    assert throughput.broken([replace(slow, queue_s=(20.0, 40.0, 60.0))]) == [
        "the queue has 50.0 % of animate's throughput; accepted: 95 %"
    ]
    assert "97 %" in throughput.markdown([slow])


def test_a_worker_that_grows_is_noticed():
    mib = 1 << 20
    flat = soak.Soak(60, 3600.0, 90 * mib, (140 * mib, 150 * mib, 151 * mib, 150 * mib), 100.0)
    assert soak.broken(flat) == []
    assert "grows: 50 MiB" in soak.broken(replace(flat, quarters=(140 * mib, 150 * mib, 180 * mib, 200 * mib)))[0]
    assert "300 MiB" in soak.broken(replace(flat, quarters=(300 * mib,) * 4))[0]
    assert "| 90 | 140 | 150 | 151 | 150 |" in soak.markdown(flat)
