"""The report of a run, written again and again while it goes: a page, and tables for the picture.

``report.md``    the limits, what was asked and answered, latencies, memory
``minutes.csv``  requests and latencies, by kind and minute
``memory.csv``   of every process (:mod:`emotalk_perf.soak.memory`)
``soak.png``     the picture (:mod:`emotalk_perf.soak.drawing`)
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emotalk_client.faces.formats import writing
from emotalk_perf import capacity
from emotalk_perf.attacked.answers import COLUMNS, REFUSED, RIGHT
from emotalk_perf.capacity import Capacity
from emotalk_perf.report import table
from emotalk_perf.soak.memory import Memory
from emotalk_perf.soak.verdict import Line, lines
from emotalk_perf.streams import CALLER
from emotalk_perf.traffic.ledger import TENTHS, Clock, Ledger

PAGE, MINUTES, MEMORY, PICTURE = "report.md", "minutes.csv", "memory.csv", "soak.png"
MIB = 2**20
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""Quantiles that are told."""


@dataclass
class Seen:
    """All that is known of a run, so far."""

    clock: Clock
    honest: list[Ledger]
    strangers: Ledger | None
    memory: Memory
    streams: int
    """Live streams at once."""
    share: float | None
    """Of the capacity; None: the rates were given."""
    capacity: Capacity | None
    ended: bool = False
    """True once the planned time is over and every answer has come."""
    tracebacks: list[str] = field(default_factory=list)
    """Last line of each that the service printed; known once it has ended."""

    @property
    def callers(self) -> list[Ledger]:
        """Honest and hostile."""
        return [*self.honest, *([self.strangers] if self.strangers is not None else [])]

    def lines(self) -> list[Line]:
        """Return the limits."""
        trends = [trend for trend in self.memory.trends() if trend.name != CALLER]  # that one is ours
        return lines(self.honest, self.strangers, trends, self.memory.processes, self.tracebacks)


class Report:
    """Writes the report of a run into ``folder``.

    Raises:
        UnwritableFile: it cannot.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / MINUTES).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(("seconds", "kind", "asked", "right", "p50_s", "p99_s"))

    def write(self, seen: Seen) -> None:
        """Write what is known by now."""
        now = seen.clock.since
        with writing(self.folder):
            with (self.folder / MINUTES).open("a", newline="", encoding="utf-8") as file:
                out = csv.writer(file)
                for ledger in seen.callers:
                    part = ledger.minute()
                    waits = (f"{part.waits.quantile(share):.4f}" for share in (0.5, 0.99))
                    out.writerow((f"{now:.0f}", ledger.name, part.asked, part.right, *waits))
            new = self.folder / f"{PAGE}.new"
            new.write_text(markdown(seen) + "\n", "utf-8")
            new.replace(self.folder / PAGE)


def markdown(seen: Seen) -> str:
    """Return the page."""
    parts = [_head(seen), _verdict(seen.lines()), _answers(seen), _tenths(seen.honest), _refusals(seen), _memory(seen)]
    if seen.capacity is not None:
        parts += ["Capacity, measured before:", capacity.markdown(seen.capacity)]
    remarks = [remark for ledger in seen.callers for remark in ledger.remarks]
    if remarks:
        parts.append("Not right:\n\n" + "\n".join(f"- {remark}" for remark in remarks))
    return "\n\n".join(parts)


def _head(seen: Seen) -> str:
    minutes, planned = seen.memory.seconds / 60, seen.clock.seconds / 60
    at = "rates as given" if seen.share is None else f"{100 * seen.share:.0f} % of the capacity"
    state = f"{planned:.3g} minutes" if seen.ended else f"{minutes:.1f} of {planned:.3g} minutes"
    return (
        f"{state}, {at}, {seen.streams} live streams; cores in use on average: the service and its callers "
        f"{sum(map(seen.memory.cores, seen.memory.processes)):.2f}, others on this machine "
        f"{seen.memory.others_cores():.2f}."
    )


def _verdict(found: Sequence[Line]) -> str:
    return table(["limit", "seen", "held"], ([one.limit, one.seen, "yes" if one.held else "**no**"] for one in found))


def _answers(seen: Seen) -> str:
    shown = [column for column in COLUMNS if column == RIGHT or any(one.columns[column] for one in seen.callers)]
    head = ["", "due a minute", "asked", *shown, "open", "largest difference", *SHARES, "longest"]
    rows = []
    for ledger in seen.callers:
        waits = ledger.waits
        rows.append(
            [
                ledger.name,
                "" if ledger.per_minute is None else f"{ledger.per_minute:.3g}",
                f"{ledger.asked}",
                *(f"{ledger.columns[column]}" for column in shown),
                f"{ledger.open}",
                f"{ledger.off:.1e}",
                *(_ms(waits.quantile(share)) for share in SHARES.values()),
                _ms(waits.largest),
            ]
        )
    return table(head, rows)


def _tenths(honest: Sequence[Ledger]) -> str:
    rows = [
        [ledger.name, *(_quantiles(ledger, number) for number in range(TENTHS))]
        for ledger in honest
    ]  # fmt: skip
    return table(["p50 / p95 / p99, ms, by tenth of the run", *(f"{n + 1}" for n in range(TENTHS))], rows)


def _quantiles(ledger: Ledger, tenth: int) -> str:
    waits = ledger.tenths[tenth].waits
    return " / ".join(f"{1000 * waits.quantile(share):.0f}" for share in SHARES.values()) if len(waits) else ""


def _refusals(seen: Seen) -> str:
    refused: Counter[str] = sum((ledger.refusals for ledger in seen.honest), Counter())
    said = ", ".join(f"{name} {count}" for name, count in refused.most_common()) or "nobody"
    return f"Honest callers that were {REFUSED}: {said}."


def _memory(seen: Seen) -> str:
    head = ["MiB, without files", "at the start", "settled", "least", "most", "last", "change", "an hour", "cores"]
    trends = {one.name: one for one in seen.memory.trends()}
    rows = []
    for one in seen.memory.processes:
        cells = [f"{one.bytes[0] / MIB:.1f}", "", "", "", f"{one.bytes[-1] / MIB:.1f}", "", ""]
        if (trend := trends.get(one.name)) is not None:
            sizes = (trend.ready, trend.settled, trend.least, trend.most, trend.last)
            cells = [*(f"{size / MIB:.1f}" for size in sizes), f"{100 * trend.change:+.1f} %"]
            cells.append(f"{trend.per_hour / MIB:+.1f}")
        rows.append([one.name, *cells, f"{seen.memory.cores(one):.2f}"])
    return table(head, rows)


def _ms(seconds: float) -> str:
    return "" if math.isnan(seconds) else f"{1000 * seconds:.0f} ms"
