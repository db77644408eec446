"""Memory and CPU of the run's processes, from /proc."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from emotalk_perf.attacked.processes import of_run

EVERY_S = 0.05


class PeakMemory:
    """The largest resident size of the process that ``pid`` names, sampled for as long as the block lasts."""

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self._pid = pid
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._lock = threading.Lock()
        self._since = 0
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def renew(self) -> int:
        """Return the peak since the last call."""
        with self._lock:
            peak, self._since = self._since, 0
        return peak

    def _sample(self) -> None:
        while not self._stopping.wait(EVERY_S):
            if (pid := self._pid()) is not None:
                size = resident_bytes(pid)
                with self._lock:
                    self.bytes, self._since = max(self.bytes, size), max(self._since, size)


def resident_bytes(pid: int) -> int:
    """Return the resident size of ``pid``; 0 where it has ended."""
    try:
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


def cpu_s(mark: str) -> dict[str, float]:
    """Return seconds of CPU by kind of process, of those that live now."""
    total: Counter[str] = Counter()
    ticks = os.sysconf("SC_CLK_TCK")
    for one in of_run(mark):
        try:
            fields = Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total[one.kind] += (int(fields[11]) + int(fields[12])) / ticks  # type: ignore[assignment]
    return dict(total)
