"""Memory and processor time of every process of a run, sampled; memory also goes into a file as it is seen."""

from __future__ import annotations

import csv
import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from types import TracebackType

import numpy as np

from emotalk_perf.attacked.processes import STUB, of_run
from emotalk_perf.process_tree import cpu_s, own_bytes
from emotalk_perf.streams import CALLER
from emotalk_perf.traffic.ledger import Clock

EVERY_S = 5.0
SAMPLES = 120
"""In a run, at least."""
SETTLED_S, SETTLED_SHARE = 600.0, 1 / 6
"""Memory is settled after the first, or after this share of a shorter run."""
MEDIANS = 20
"""Parts of the time after that; the median of each part is compared with the first one's."""
FLAT = 0.03
"""That a part's median may be off."""


@dataclass(slots=True)
class Process:
    """One process over time."""

    name: str
    seconds: list[float] = field(default_factory=list)
    """Of the run, when it was looked at."""
    bytes: list[int] = field(default_factory=list)
    """Anonymous pages and shared memory then; what several share counts in part."""
    cpu_s: float = 0.0
    """Processor time that it has used since it was first seen."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Memory of a process once it is settled, in bytes."""

    name: str
    ready: int
    settled: float
    """Median of the first part."""
    least: float
    """Of the medians."""
    most: float
    last: float
    per_hour: float
    """Bytes by which they rise an hour: the median of the slopes between any two (Theil and Sen), which a step does not
    bend."""

    @property
    def change(self) -> float:
        """Largest share by which a median is off the first one, with its sign."""
        return max(self.most / self.settled - 1, self.least / self.settled - 1, key=abs)

    @property
    def flat(self) -> bool:
        """True where that is within :data:`FLAT`."""
        return abs(self.change) <= FLAT


class Memory:
    """Samples the processes that carry ``mark``, and this one, for as long as the block lasts.

    Args:
        file: a CSV of them, written as it goes.
    """

    def __init__(self, mark: str, clock: Clock, file: Path) -> None:
        self._mark = mark
        self._clock = clock
        self._file = file
        self._pids: dict[int, Process] = {}
        self._first_cpu: dict[int, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="emotalk-memory", daemon=True)
        self._busy_s = _machine_busy_s()
        self._others_s = 0.0
        self.seconds = 0.0
        """Of the run, at the last look."""

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def processes(self) -> Sequence[Process]:
        """Those that were seen, in the order of their beginning."""
        return list(self._pids.values())

    def others_cores(self) -> float:
        """Return the cores that all other processes of this machine have used on average."""
        return max(0.0, self._others_s) / max(self.seconds, 1.0)

    def cores(self, one: Process) -> float:
        """Return the cores that ``one`` has used on average."""
        return one.cpu_s / max(self.seconds, 1.0)

    def trends(self) -> list[Trend]:
        """Return what became of every process that has lived from before memory was settled until now."""
        settled = min(SETTLED_S, SETTLED_SHARE * self._clock.seconds)
        last = max((one.seconds[-1] for one in self.processes), default=0.0)
        return [
            trend(one, settled)
            for one in self.processes
            if one.seconds[0] <= settled < one.seconds[-1] and one.seconds[-1] == last
        ]

    def _go_on(self) -> None:
        every_s = min(EVERY_S, self._clock.seconds / SAMPLES)
        with self._file.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(("seconds", "process", "bytes"))
            while True:
                out.writerows(self._look())
                file.flush()
                if self._stopping.wait(every_s):
                    return

    def _look(self) -> list[tuple[str, str, int]]:
        now = self._clock.since
        rows = []
        for pid, kind in [(os.getpid(), CALLER), *((one.pid, one.kind) for one in of_run(self._mark))]:
            if not (size := own_bytes(pid)):
                continue  # it has ended
            one = self._pids.get(pid) or self._seen(pid, kind)
            one.seconds.append(now)
            one.bytes.append(size)
            one.cpu_s = cpu_s(pid) - self._first_cpu[pid]
            rows.append((f"{now:.1f}", one.name, size))
        self.seconds = now
        self._others_s = _machine_busy_s() - self._busy_s - sum(one.cpu_s for one in self.processes)
        return rows

    def _seen(self, pid: int, kind: str) -> Process:
        names = Counter(one.name.partition(" #")[0] for one in self._pids.values())
        name = kind.removeprefix(STUB)
        self._first_cpu[pid] = cpu_s(pid)
        self._pids[pid] = Process(f"{name} #{names[name] + 1}" if names[name] else name)
        return self._pids[pid]


def trend(one: Process, settled_s: float) -> Trend:
    """Return what became of ``one`` after ``settled_s``."""
    samples = [(moment, size) for moment, size in zip(one.seconds, one.bytes, strict=True) if moment >= settled_s]
    parts = np.array_split(np.array(samples), min(MEDIANS, len(samples)))
    points = [(float(np.median(part[:, 0])) / 3600, float(np.median(part[:, 1]))) for part in parts]
    slopes = [(later - size) / (then - hour) for (hour, size), (then, later) in combinations(points, 2) if then > hour]
    medians = [size for _, size in points]
    slope = float(np.median(slopes or [0.0]))
    return Trend(one.name, one.bytes[0], medians[0], min(medians), max(medians), medians[-1], slope)


def _machine_busy_s() -> float:
    """Return the seconds for which this machine's cores were not idle, added up."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
