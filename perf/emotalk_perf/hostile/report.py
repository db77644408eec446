"""The report of a run: a table, and the limits that it must hold."""

from __future__ import annotations

import json
import math
from typing import Any

from emotalk_perf.hostile.run import Outcome, Result
from emotalk_perf.report import table

GATEWAY_BYTES = 2**30
"""Memory that the gateway may take."""
LIGHT_S = 0.1
"""99th percentile of a light request's wait; a limit with ``strict``."""
LIGHT = "gateway, light"
HEAD = (
    "case", "fault", "answer", "Triton died", "no face for, s", "honest: right", "wrong", "lost",
    "gRPC, ms", "light, ms", "upload, ms", "gateway, MiB",
)  # fmt: skip


def broken(outcome: Outcome, strict: bool = False) -> list[str]:
    """Return which limits were broken."""
    found = [line for result in outcome.results for line in _broken(result, strict)]
    found += [f"a traceback in the log of {line}" for line in outcome.tracebacks]
    return found + [f"left behind: {what}" for what in outcome.left]


def _broken(result: Result, strict: bool) -> list[str]:
    name, found = result.case.name, []
    if not result.case.accepts(result.answer):
        found.append(f"{name}: the answer is {result.answer!r}; accepted: {result.case.accepted}")
    if result.outage_s > result.case.without_face_s:
        found.append(f"{name}: no face for {result.outage_s:.1f} s; accepted: {result.case.without_face_s:g} s")
    if result.gateway_died:
        found.append(f"{name}: the gateway ended")
    if result.gateway_peak_bytes > GATEWAY_BYTES:
        found.append(f"{name}: the gateway took {_mib(result.gateway_peak_bytes)} MiB; accepted: {_mib(GATEWAY_BYTES)}")
    for seen in result.honest:
        if seen.wrong or seen.lost:
            found.append(f"{name}: of {seen.caller}, {seen.wrong} answers wrong, {seen.lost} lost; accepted: 0")
        if not seen.right:
            found.append(f"{name}: {seen.caller} had no right answer")
        if strict and seen.caller == LIGHT and seen.p99_ms > 1000 * LIGHT_S:
            found.append(f"{name}: {seen.caller} waited {seen.p99_ms:.0f} ms (p99); accepted: {1000 * LIGHT_S:.0f}")
    return found


def markdown(outcome: Outcome) -> str:
    """Return the table, and what is to be said of the whole run."""
    cpu = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in sorted(outcome.cpu_s.items()))
    return "\n\n".join(
        [
            table(HEAD, [_row(result) for result in outcome.results]),
            "Waits of the honest callers: 99th percentile / longest. "
            f"Largest memory of the gateway: {_mib(outcome.gateway_peak_bytes)} MiB. "
            f"CPU seconds of the processes that lived at the end: {cpu}.",
        ]
    )


def _row(result: Result) -> list[str]:
    again = "never again" if math.isinf(result.outage_s) else f"{result.outage_s:.1f}" if result.outage_s else "-"
    totals = [sum(getattr(seen, name) for seen in result.honest) for name in ("right", "wrong", "lost")]
    return [
        f"`{result.case.name}`", result.case.fault, result.answer, "yes" if result.triton_died else "no", again,
        *map(str, totals),
        *(f"{seen.p99_ms:.0f} / {seen.longest_ms:.0f}" for seen in result.honest),
        _mib(result.gateway_peak_bytes),
    ]  # fmt: skip


def as_json(outcome: Outcome) -> str:
    """Return everything."""
    return json.dumps(
        {
            "results": [_fields(result) for result in outcome.results],
            "gateway_peak_bytes": outcome.gateway_peak_bytes,
            "cpu_s": outcome.cpu_s,
            "tracebacks": outcome.tracebacks,
            "left": outcome.left,
        },
        indent=1,
    )


def _fields(result: Result) -> dict[str, Any]:
    return {
        "case": result.case.name,
        "fault": result.case.fault,
        "answer": result.answer,
        "accepted": result.case.accepted,
        "seconds": result.seconds,
        "triton_died": result.triton_died,
        "gateway_died": result.gateway_died,
        "outage_s": None if math.isinf(result.outage_s) else result.outage_s,
        "gateway_peak_bytes": result.gateway_peak_bytes,
        "honest": [
            {
                "caller": seen.caller,
                "right": seen.right,
                "wrong": seen.wrong,
                "lost": seen.lost,
                "p99_ms": seen.p99_ms,
                "longest_ms": seen.longest_ms,
            }
            for seen in result.honest
        ],
    }


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f}"
