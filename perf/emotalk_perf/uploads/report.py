"""The table of a run, and the limits that it must hold."""

from __future__ import annotations

from emotalk_perf.report import table
from emotalk_perf.uploads.run import Outcome

MOST_S = 10.0
MOST_BYTES = 300_000_000
"""Of the largest child."""


def markdown(outcome: Outcome) -> str:
    """Return the table, and what is to be said of the whole run."""
    kinds = sorted({kind for answers in outcome.answers.values() for kind in answers})
    rows = [
        [name, str(sum(answers.values())), *(str(answers[kind]) for kind in kinds)]
        for name, answers in outcome.answers.items()
    ]
    total = sum(sum(answers.values()) for answers in outcome.answers.values())
    memory = f"; the largest process took {outcome.child_bytes / 1e6:.0f} MB" if outcome.child_bytes else ""
    return "\n\n".join(
        [
            table(["upload, damaged", "number", *kinds], rows),
            f"{total} uploads, {len(outcome.wrong)} answered wrongly; {outcome.longest} took the longest, "
            f"{outcome.longest_s:.1f} s{memory}.",
        ]
    )


def broken(outcome: Outcome) -> list[str]:
    """Return which limits were broken."""
    found = list(outcome.wrong)
    if outcome.longest_s > MOST_S:
        found.append(f"{outcome.longest} took {outcome.longest_s:.1f} s; accepted: {MOST_S:g} s")
    if outcome.child_bytes > MOST_BYTES:
        found.append(f"a process took {outcome.child_bytes / 1e6:.0f} MB; accepted: {MOST_BYTES / 1e6:.0f} MB")
    return found
