"""Outcomes of a queue, for people and machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from emotalk_perf.queue.attack import Outcome
from emotalk_perf.report import table

MIB = 1 << 20
MAX_BYTES = 250 * MIB
"""Resident, of a worker."""
OWN_BYTES = 150 * MIB
"""Of a worker, without a record that is as large as all of that: librdkafka holds it, and Python has a copy."""
SHOWN = 20
"""Wrongs of one kind that are said."""


def broken(outcome: Outcome) -> list[str]:
    """Return the limits that were broken."""
    name = "with --transactions" if outcome.transactions else "without --transactions"
    verdict = outcome.verdict
    found = list(verdict.wrongs[:SHOWN])
    if len(verdict.wrongs) > SHOWN:
        found.append(f"and {len(verdict.wrongs) - SHOWN} more")
    done, of = outcome.committed
    if done < of:
        found.append(f"{done} of {of} requests done with in {outcome.plan.minutes:g} minutes")
    most = max(MAX_BYTES, OWN_BYTES + 2 * outcome.plan.large_bytes)
    if outcome.peak_bytes > most:
        found.append(f"a worker of {outcome.peak_bytes / MIB:.0f} MiB; accepted: {most // MIB}")
    if outcome.triton_kills < outcome.plan.triton_kills:
        found.append(f"Triton was killed {outcome.triton_kills} times; planned: {outcome.plan.triton_kills}")
    if outcome.plan.outage_s and not outcome.outages:
        found.append("the broker never stood still; it was planned to")
    if outcome.slow_stops:
        found.append(f"{outcome.slow_stops} workers had to be killed in the end")
    found += [f"left behind: {what}" for what in outcome.left]
    found += [f"printed: {line}" for line in outcome.tracebacks]
    return [f"{name}: {what}" for what in found]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return a table with a column an attack."""
    plan = outcomes[0].plan
    rows: list[list[str]] = []

    def row(name: str, *cells: str) -> None:
        rows.append([name, *cells])

    verdicts = [outcome.verdict for outcome in outcomes]
    row("requests", *(f"{v.requests}" for v in verdicts))
    row("with a whole final answer", *(f"{v.answered}" for v in verdicts))
    row("final answers that came again, equal", *(f"{v.repeated}" for v in verdicts))
    row("answers left half done, and not believed", *(f"{v.unfinished}" for v in verdicts))
    row("largest difference from `animate`", *(f"{v.largest_difference:.1e}" for v in verdicts))
    row("poisonous requests", *(f"{v.poisonous}" for v in verdicts))
    row("dead letters with a reason", *(f"{v.died}" for v in verdicts))
    row("dead letters that came again", *(f"{v.died_again}" for v in verdicts))
    row("workers killed", *(f"{outcome.worker_kills}" for outcome in outcomes))
    row("Tritons killed", *(f"{outcome.triton_kills}" for outcome in outcomes))
    row("seconds for which the broker stood still", *(f"{o.outages * o.plan.outage_s:g}" for o in outcomes))
    row("largest worker, MiB", *(f"{outcome.peak_bytes / MIB:.0f}" for outcome in outcomes))
    row("seconds", *(f"{outcome.seconds:.0f}" for outcome in outcomes))
    row("limits broken", *(f"{len(broken(outcome))}" for outcome in outcomes))
    head = ["", *("with `--transactions`" if outcome.transactions else "without" for outcome in outcomes)]
    reasons = sorted({(name, v.reasons[name]) for v in verdicts for name in v.reasons})
    said = ", ".join(f"{name} {count}" for name, count in reasons) or "none"
    return "\n\n".join(
        [
            f"{plan.clips} clips of {plan.shortest_s:g} to {plan.longest_s:g} s ({outcomes[0].speech_s:.0f} s of "
            f"speech) and {plan.poisonous} poisonous records over {plan.keys} keys and {plan.partitions} partitions, "
            f"{plan.workers} workers, one of which is killed every {plan.kill_s:g} s; seed {plan.seed}.",
            table(head, rows),
            f"Reasons of the dead letters: {said}.",
        ]
    )


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Return everything."""
    return json.dumps([asdict(one) | {"broken": broken(one)} for one in outcomes], indent=2) + "\n"
