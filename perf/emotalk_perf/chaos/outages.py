"""From answers over time to outages.

An outage begins with the kill, and is healed with the first right answer after the last that failed. Pure: the answers
of a :class:`~emotalk_perf.attacked.prober.Prober` in, numbers out.
"""

from __future__ import annotations

from collections.abc import Sequence

from emotalk_perf.attacked.prober import Answer

CALM = 8
"""Right answers in a row after which an outage is over."""


def healed_at(answers: Sequence[Answer], calm: int = CALM) -> float | None:
    """Return the moment at which faces were to be had again, for good; None while they are not.

    Args:
        answers: all that was asked since the kill, in the order of asking.
        calm: how many right ones must have been asked after the last that failed.
    """
    last_failure = max((index for index, answer in enumerate(answers) if not answer.well), default=-1)
    right = answers[last_failure + 1 :]
    if len(right) < calm:
        return None
    return min(answer.answered for answer in right)


def late_s(ready: Sequence[Answer], healed: float) -> float:
    """Return for how many seconds readiness went on saying no after faces were to be had again; infinite where it said
    nothing else.
    """
    noes = [answer.asked for answer in ready if not answer.well]
    yeses = [answer.asked for answer in ready if answer.well and answer.asked > max(noes, default=healed)]
    if noes and not yeses:
        return float("inf")
    return max(0.0, min(yeses) - healed) if noes and max(noes) > healed else 0.0


def lie_s(ready: Sequence[Answer], faces: Sequence[Answer], killed: float, healed: float) -> float:
    """Return for how many seconds of an outage readiness went on saying yes: from the kill to its last yes.

    Only what lies before the last face that failed counts: from then on a yes is true.
    """
    failures = [answer.asked for answer in faces if not answer.well and killed <= answer.asked <= healed]
    if not failures:
        return 0.0
    last = max(failures)
    said_yes = [answer.asked for answer in ready if answer.well and killed < answer.asked < last]
    return max(said_yes, default=killed) - killed
