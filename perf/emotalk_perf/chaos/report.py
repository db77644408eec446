"""The report of a run: tables, and the limits that it must hold."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from statistics import median

from emotalk_perf.attacked.answers import COLUMNS, CUT_OFF, NEVER
from emotalk_perf.attacked.processes import GATEWAY, SUPERVISOR
from emotalk_perf.chaos.run import AT_RANDOM, STOPPED_STUB, STOPPED_TRITON, Kill, Outcome
from emotalk_perf.report import table

HEALS_S = 3.0
"""Seconds in which the death of a Triton, or of any of its processes, is healed."""
RESTARTS_S = 5.0
"""Seconds in which that of a supervisor or a gateway is, by whoever starts them again."""
UNFREEZES_S = 5.0
"""Seconds in which a process that stands still is: half a second to be sure of it."""
LIES_S = 1.0
"""Seconds for which readiness may be behind."""


def limit_s(kill: Kill) -> float:
    """Return the seconds in which ``kill`` must be healed."""
    if kill.kind in (STOPPED_STUB, STOPPED_TRITON):
        return UNFREEZES_S
    return RESTARTS_S if {SUPERVISOR, GATEWAY} & set(kill.victims) else HEALS_S


def by_kind(outcome: Outcome) -> dict[str, list[Kill]]:
    """Return the kills by kind, in the order of their first."""
    kinds: dict[str, list[Kill]] = {}
    for kill in outcome.kills:
        kinds.setdefault(kill.kind, []).append(kill)
    return kinds


def wrongs(outcome: Outcome) -> list[str]:
    """Return what may not be in any run, however slow the machine: answers that are wrong, lost or doubled, calls that
    hang, outages that do not heal, things left behind.
    """
    found = [remark for tally in outcome.tallies for remark in tally.remarks]
    found += [f"{tally.caller}: {tally.hung} calls hung" for tally in outcome.tallies if tally.hung]
    deaths = sum(kill.victims.count(GATEWAY) for kill in outcome.kills)
    found += [
        f"{tally.caller}: {tally.columns[CUT_OFF]} calls cut off; accepted: {tally.callers * deaths}, one a caller for "
        f"each of {deaths} deaths of the gateway"
        for tally in outcome.tallies
        if tally.columns[CUT_OFF] > tally.callers * deaths
    ]
    found += [f"{kill.kind}: not healed" for kill in outcome.kills if math.isinf(kill.healed_s)]
    found += [f"left behind: {what}" for what in outcome.left]
    return found + [f"{name} had to be killed in the end" for name in outcome.slow_stops]


def late(outcome: Outcome) -> list[str]:
    """Return which limits in seconds were broken."""
    found = [
        f"{kill.kind} ({', '.join(kill.victims)}): healed after {kill.healed_s:.1f} s; accepted: {limit_s(kill):g} s"
        for kill in outcome.kills
        if limit_s(kill) < kill.healed_s < math.inf
    ]
    found += [
        f"{kill.kind}: /health/ready said yes for {kill.ready_lied_s:.1f} s of the outage; accepted: {LIES_S:g} s"
        for kill in outcome.kills
        if kill.ready_lied_s > LIES_S
    ]
    found += [
        f"{kill.kind}: the server's /health/ready said yes for {kill.server_lied_s:.1f} s of the outage; "
        f"accepted: {LIES_S:g} s"
        for kill in outcome.kills
        if kill.server_lied_s > LIES_S
    ]
    return found


def markdown(outcome: Outcome) -> str:
    """Return the tables."""
    rows = []
    for kind, kills in by_kind(outcome).items():
        seconds = [kill.healed_s for kill in kills]
        most = "3 or 5 s" if kind == AT_RANDOM else f"{max(limit_s(kill) for kill in kills):g} s"
        rows.append(
            [
                kind,
                str(len(kills)),
                f"{median(seconds):.1f} s",
                f"{max(seconds):.1f} s",
                most,
                f"{max(kill.ready_lied_s for kill in kills):.1f} s",
                f"{max(kill.server_lied_s for kill in kills):.1f} s",
                f"{max(kill.ready_late_s for kill in kills):.1f} s",
            ]
        )
    healed = table(
        [
            "killed",
            "times",
            "healed after (median)",
            "largest",
            "allowed",
            "gateway's `/health/ready` said yes too long",
            "server's",
            "gateway's said no too long",
        ],
        rows,
    )
    answered = table(
        ["callers", *COLUMNS, "longest call"],
        [
            [tally.caller, *(str(tally.columns[name]) for name in COLUMNS), f"{tally.longest_s:.1f} s"]
            for tally in outcome.tallies
        ],
    )
    refusals = sum((tally.refusals for tally in outcome.tallies), Counter[str]())
    said = ", ".join(f"{name} {count}" for name, count in sorted(refusals.items())) or "none"
    well, asked = outcome.ready_when_calm
    lines = [
        f"{len(outcome.kills)} kills in {outcome.seconds / 60:.1f} minutes; seed {outcome.plan.seed}.",
        healed,
        answered,
        f"Refused in words by: {said}. Never allowed: {', '.join(NEVER)}. In peace, {well} of {asked} answers of "
        f"`/health/ready` said yes.",
        f"Left behind: {', '.join(outcome.left) or 'nothing'}.",
    ]
    return "\n\n".join(lines)


def as_json(outcome: Outcome) -> str:
    """Return everything, for machines."""
    content = {
        "plan": asdict(outcome.plan),
        "seconds": outcome.seconds,
        "kills": [asdict(kill) for kill in outcome.kills],
        "callers": [
            {
                "caller": tally.caller,
                "answers": {name: tally.columns[name] for name in COLUMNS},
                "refusals": dict(tally.refusals),
                "longest_s": tally.longest_s,
                "hung": tally.hung,
            }
            for tally in outcome.tallies
        ],
        "left": outcome.left,
        "wrong": wrongs(outcome),
        "late": late(outcome),
    }
    return json.dumps(content, indent=2) + "\n"
