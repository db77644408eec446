"""Judgement of a queue: what became of every request.

Rule that this module guards: **only committed records count, and all of them are looked at.** It gets the records of
the answers' and the dead letters' topics as they lie, in the order of each partition, those of aborted transactions
taken out before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Message

from emotalk_gateway.kafka.assembling import Answer, Assembler, Final
from emotalk_gateway.kafka.reading import InvalidRecord, read_answer, read_dead_letter
from emotalk_perf.queue.work import Request

TOLERANCE = 1e-5
"""Largest difference of a weight from ``animate``."""
NOT_A_REASON = ("", "InternalError")
"""Classes that say nothing to whoever sent a request."""


@dataclass
class Verdict:
    """Counts, and everything that is wrong."""

    requests: int = 0
    answered: int = 0
    """Requests with a complete final answer."""
    repeated: int = 0
    """Final answers beyond the first of a request, whole and equal to it."""
    unfinished: int = 0
    """Attempts without a final record: what a worker left when it died."""
    poisonous: int = 0
    died: int = 0
    """Poisonous requests among the dead letters."""
    died_again: int = 0
    """Dead letters beyond the first of a request."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Classes of errors of the poisonous ones."""
    largest_difference: float = 0.0
    """Of a weight from ``animate``."""
    wrongs: list[str] = field(default_factory=list)


def judge(
    sent: Sequence[Request], answers: Iterable[Message], letters: Iterable[Message], *, exactly_once: bool
) -> Verdict:
    """Return the verdict on what was ``sent``, in that order.

    Args:
        exactly_once: one final answer and one dead letter a request; else the same may come again.
    """
    verdict = Verdict(sum(not one.is_poison for one in sent), poisonous=sum(one.is_poison for one in sent))
    by_id = {one.request_id: one for one in sent}
    finals, order = _answers(verdict, by_id, answers)
    _dead_letters(verdict, by_id, letters)
    for one in sent:
        count = finals[one.request_id]
        if one.is_poison:
            if count:
                verdict.wrongs.append(f"{one.request_id}: it is poison, and has {count} final answers")
        elif not count:
            verdict.wrongs.append(f"{one.request_id}: no complete final answer")
        elif count > 1 and exactly_once:
            verdict.wrongs.append(f"{one.request_id}: {count} final answers; accepted: 1")
    if exactly_once and verdict.died_again:
        verdict.wrongs.append(f"{verdict.died_again} dead letters came again; accepted: 0")
    _order(verdict, sent, order)
    return verdict


def _answers(
    verdict: Verdict, by_id: dict[str, Request], answers: Iterable[Message]
) -> tuple[Counter[str], dict[str, list[str]]]:
    """Count complete finals by request; also return the requests in the order of their first ones, by key."""
    assembler = Assembler()
    finals: Counter[str] = Counter()
    order: dict[str, list[str]] = defaultdict(list)
    for message in answers:
        try:
            record = read_answer(message)
        except InvalidRecord as error:
            verdict.wrongs.append(f"answers[{message.partition()}]@{message.offset()}: {error}")
            continue
        if not isinstance(record, Final):
            verdict.wrongs += [f"{trouble}" for trouble in assembler.add(record)]
            continue
        request = by_id.get(record.request_id)
        found = assembler.end(record)
        if request is None:
            verdict.wrongs.append(f"{record.request_id!r}: an answer to nobody's request")
        elif not isinstance(found, Answer):
            verdict.wrongs.append(f"{found}")
        else:
            if not finals[record.request_id]:
                order[request.key].append(record.request_id)
                verdict.answered += not request.is_poison
            else:
                verdict.repeated += 1
            finals[record.request_id] += 1
            _compare(verdict, request, found)
            key = (message.key() or b"").decode("utf-8", "replace")
            if key != request.key:
                verdict.wrongs.append(f"{record.request_id}: its answer has the key {key!r}; accepted: {request.key!r}")
    verdict.unfinished = len(assembler.waiting)
    return finals, order


def _compare(verdict: Verdict, request: Request, found: Answer) -> None:
    if request.weights is None:
        return
    weights = found.face.weights
    if weights.shape != request.weights.shape:
        verdict.wrongs.append(f"{request.request_id}: {len(weights)} frames; accepted: {len(request.weights)}")
        return
    off = float(np.abs(weights - request.weights).max(initial=0.0))
    verdict.largest_difference = max(verdict.largest_difference, off)
    if not off <= TOLERANCE:
        verdict.wrongs.append(f"{request.request_id}: a weight is off by {off:.1e}; accepted: {TOLERANCE:.0e}")


def _dead_letters(verdict: Verdict, by_id: dict[str, Request], letters: Iterable[Message]) -> None:
    seen: set[str] = set()
    for message in letters:
        try:
            letter = read_dead_letter(message)
        except InvalidRecord as error:
            verdict.wrongs.append(f"dead letters[{message.partition()}]@{message.offset()}: {error}")
            continue
        request = by_id.get(letter.request_id)
        if letter.request_id in seen:
            verdict.died_again += 1
            continue
        seen.add(letter.request_id)
        if request is None or not request.is_poison:
            verdict.wrongs.append(
                f"{letter.request_id}: died ({letter.error_class}: {letter.error}), and is not poison"
            )
            continue
        verdict.died += 1
        verdict.reasons[letter.error_class] = verdict.reasons.get(letter.error_class, 0) + 1
        if letter.error_class in NOT_A_REASON or not letter.error:
            verdict.wrongs.append(f"{letter.request_id}: a dead letter without a reason: {letter.error_class!r}")
    verdict.wrongs += [
        f"{one.request_id}: poison without a dead letter"
        for one in by_id.values()
        if one.is_poison and one.request_id not in seen
    ]


def _order(verdict: Verdict, sent: Sequence[Request], order: dict[str, list[str]]) -> None:
    for key in sorted({one.key for one in sent}):
        there = set(order[key])
        wanted = [one.request_id for one in sent if one.key == key and one.request_id in there]
        for place, (found, right) in enumerate(zip(order[key], wanted, strict=True)):
            if found != right:
                verdict.wrongs.append(
                    f"{key}: answer {place + 1} is to {found!r}; accepted: to {right!r}, sent before it"
                )
                break
