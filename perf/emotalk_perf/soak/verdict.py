"""The limits of a run, each held or not, with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emotalk_perf.attacked.answers import CUT_OFF, NEVER, REFUSED, RIGHT, UNHEARD
from emotalk_perf.soak.memory import FLAT, Process, Trend
from emotalk_perf.traffic.ledger import Ledger

RATE = 0.99
"""Share of what was due in a tenth that must be answered and right."""
LATE_S = 0.1
"""Seconds after it was due in which 99 % of the requests must be begun: later, these callers were too slow to say."""
TIMES = 2.0
"""Times the first tenth's p50 that p99 may be."""


@dataclass(frozen=True, slots=True)
class Line:
    """One limit."""

    limit: str
    seen: str
    held: bool


def lines(
    honest: Sequence[Ledger],
    strangers: Ledger | None,
    trends: Sequence[Trend],
    processes: Sequence[Process],
    tracebacks: Sequence[str],
) -> list[Line]:
    """Return every limit of a run so far.

    Args:
        honest: callers with right answers.
        strangers: the hostile; a right answer is one that is accepted.
        trends: of processes whose memory has settled.
        processes: all that were seen.
        tracebacks: that were printed.
    """
    found = [_answers(honest), _words(honest), _rate(honest), _late(honest), _waits(honest)]
    if strangers is not None:
        found.append(_strangers(strangers))
    found.append(_memory(trends))
    again = [one.name for one in processes if " #" in one.name]
    found.append(Line("no process died", f"begun again: {', '.join(again) or 'none'}", not again))
    found.append(Line("no traceback was printed", "; ".join(tracebacks) or "none", not tracebacks))
    return found


def _answers(honest: Sequence[Ledger]) -> Line:
    counts = {column: sum(ledger.columns[column] for ledger in honest) for column in (RIGHT, *NEVER)}
    seen = ", ".join(f"{count} {column}" for column, count in counts.items())
    worst = max((ledger.off for ledger in honest), default=0.0)
    held = not any(counts[column] for column in NEVER)
    return Line("every answer is right, none lost or doubled", f"{seen}; the largest difference {worst:.1e}", held)


def _words(honest: Sequence[Ledger]) -> Line:
    asked, refused, *wordless = (
        sum(ledger.asked for ledger in honest),
        *(sum(ledger.columns[column] for ledger in honest) for column in (REFUSED, UNHEARD, CUT_OFF)),
    )
    seen = f"{refused} of {asked} refused in words, {wordless[0]} not heard, {wordless[1]} cut off"
    return Line("refusals only in words", seen, not any(wordless))


def _rate(honest: Sequence[Ledger]) -> Line:
    shares = {
        f"{ledger.name}, tenth {number + 1}": part.right / part.asked
        for ledger in honest
        for number, part in enumerate(ledger.tenths[: ledger.full_tenths])
        if part.asked
    }
    if not shares:
        return Line(f"{100 * RATE:g} % of what is due is answered right, in every tenth", "no tenth is over", True)
    name, share = min(shares.items(), key=lambda item: item[1])
    seen = f"least: {100 * share:.1f} % ({name})"
    return Line(f"{100 * RATE:g} % of what is due is answered right, in every tenth", seen, share >= RATE)


def _late(honest: Sequence[Ledger]) -> Line:
    worst = max(honest, key=lambda ledger: ledger.lags.quantile(0.99) if len(ledger.lags) else 0.0)
    late = worst.lags.quantile(0.99) if len(worst.lags) else 0.0
    seen = f"p99 {1000 * late:.0f} ms ({worst.name})"
    return Line(f"requests are begun within {1000 * LATE_S:g} ms of when they are due", seen, late <= LATE_S)


def _waits(honest: Sequence[Ledger]) -> Line:
    ratios = {
        ledger.name: ledger.waits.quantile(0.99) / ledger.tenths[0].waits.quantile(0.5)
        for ledger in honest
        if len(ledger.tenths[0].waits)
    }
    seen = ", ".join(f"{name}: {ratio:.2f}x" for name, ratio in ratios.items()) or "no answer yet"
    return Line(f"p99 within {TIMES:g}x of the first tenth's p50", seen, all(r <= TIMES for r in ratios.values()))


def _strangers(strangers: Ledger) -> Line:
    unlike = strangers.asked - strangers.open - strangers.columns[RIGHT]
    return Line("strangers get what they should", f"{unlike} of {strangers.asked} otherwise", not unlike)


def _memory(trends: Sequence[Trend]) -> Line:
    limit = f"memory of every process flat (±{100 * FLAT:g} %) once settled"
    if not trends:
        return Line(limit, "not settled yet", True)
    off = [trend for trend in trends if not trend.flat]
    worst = max(trends, key=lambda trend: abs(trend.change))
    seen = ", ".join(f"{trend.name} {100 * trend.change:+.1f} %" for trend in off or [worst])
    return Line(limit, seen if off else f"at most {seen}", not off)
