"""One kind of caller over a run: asked, right, refused in words; latencies by tenth of the run and by minute.

Rule that this module guards: **a request counts in the tenth in which it was due**, and its latency runs from that
moment, whenever it could be sent: a service that stands still is seen in every request that it kept from being asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from emotalk_perf.attacked.answers import COLUMNS, REFUSED, RIGHT, Judged
from emotalk_perf.traffic.histogram import Histogram

TENTHS = 10
SETTLES_S = 15.0
"""Seconds after a tenth in which its answers come."""
REMARKS = 20
"""Of answers that were neither right nor refused, that are kept in words."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of a run."""

    began: float
    """By :func:`time.monotonic`."""
    seconds: float
    """That it is planned to take."""

    @property
    def since(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        """True once it has taken as long as planned."""
        return self.since >= self.seconds

    def tenth(self, moment: float) -> int:
        """Return the tenth, from 0, in which ``moment`` is; what comes after the end is in the last."""
        return max(0, min(TENTHS - 1, int(TENTHS * (moment - self.began) / self.seconds)))


@dataclass(slots=True)
class Part:
    """A part of the run."""

    asked: int = 0
    right: int = 0
    waits: Histogram = field(default_factory=Histogram)


class Ledger:
    """Answers of one kind of caller.

    Args:
        name: the kind.
        per_minute: requests that are due; None: as they come.
    """

    def __init__(self, name: str, clock: Clock, per_minute: float | None = None) -> None:
        self.name = name
        self.clock = clock
        self.per_minute = per_minute
        self.tenths: Sequence[Part] = [Part() for _ in range(TENTHS)]
        self.columns: Counter[str] = Counter(dict.fromkeys(COLUMNS, 0))
        self.refusals: Counter[str] = Counter()
        """By the error's class."""
        self.off = 0.0
        """Largest difference of a weight from the right one."""
        self.remarks: list[str] = []
        self.lags = Histogram()
        """From the moment that a request was due until it was begun."""
        self._minute = Part()

    @property
    def asked(self) -> int:
        """Requests."""
        return sum(part.asked for part in self.tenths)

    @property
    def waits(self) -> Histogram:
        """All latencies."""
        whole = Histogram()
        for part in self.tenths:
            whole.add_all(part.waits)
        return whole

    @property
    def open(self) -> int:
        """Requests without an answer yet."""
        return self.asked - sum(self.columns.values())

    @property
    def full_tenths(self) -> int:
        """Tenths that are over, and whose requests have had the time to be answered."""
        over_s = self.clock.since - (SETTLES_S if self.open else 0.0)
        return int(TENTHS * min(1.0, max(0.0, over_s) / self.clock.seconds))

    def ask(self, due: float) -> None:
        """Count a request that was ``due`` then and is begun now."""
        self.lags.add(time.monotonic() - due)
        for part in self._parts(due):
            part.asked += 1

    def note(self, judged: Judged, due: float, seconds: float | None = None) -> None:
        """Count the answer of a request that was ``due`` then, and took ``seconds`` from that moment on."""
        self.columns[judged.column] += 1
        self.off = max(self.off, judged.off)
        if judged.column == RIGHT:
            for part in self._parts(due):
                part.right += 1
        elif judged.column == REFUSED:
            self.refusals[judged.why] += 1
        elif len(self.remarks) < REMARKS:
            self.remarks.append(f"{due - self.clock.began:.1f} s, {self.name}: {judged.column}: {judged.why}")
        if seconds is not None:
            self.wait(seconds, due)

    def wait(self, seconds: float, moment: float) -> None:
        """Count a latency of ``moment``."""
        for part in self._parts(moment):
            part.waits.add(seconds)

    def minute(self) -> Part:
        """Return what came since the last call."""
        part, self._minute = self._minute, Part()
        return part

    def _parts(self, moment: float) -> tuple[Part, Part]:
        return self.tenths[self.clock.tenth(moment)], self._minute
