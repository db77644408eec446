"""Memory and processor time of a process and all that it started, as Linux counts them."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from pathlib import Path

from emotalk_perf.attacked.processes import kind_of

_TICKS = os.sysconf("SC_CLK_TCK")


def tree_bytes(pid: int) -> int:
    """Proportional set size of ``pid`` and its descendants: pages that several share are counted once in all."""
    return sum(process_bytes(each) for each in tree(pid))


def tree(pid: int) -> list[int]:
    """Return ``pid`` and its descendants that live now."""
    return [pid, *_descendants(pid)]


def kind(pid: int) -> str:
    """Return the kind of the process ``pid``: ``triton``, ``stub emotalk_preprocess``, ``gateway`` and so on."""
    return kind_of(_text(Path(f"/proc/{pid}/cmdline")))


def bytes_by_kind(pid: int) -> dict[str, int]:
    """Return the proportional set sizes of ``pid`` and its descendants, by :func:`kind`."""
    found: Counter[str] = Counter()
    for each in tree(pid):
        found[kind(each)] += process_bytes(each)
    return dict(found)


def cpu_by_kind(pid: int) -> dict[str, float]:
    """Return the seconds of processor time that ``pid`` and its descendants have used, by :func:`kind`."""
    found: dict[str, float] = defaultdict(float)
    for each in tree(pid):
        found[kind(each)] += cpu_s(each)
    return dict(found)


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that ``pid`` has used, in user and in kernel mode; 0 once it has ended."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if len(fields) > 12 else 0.0


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _text(children).split()):
            found += [child, *_descendants(child)]
    return found


def process_bytes(pid: int) -> int:
    """Return the proportional set size of ``pid`` alone; 0 once it has ended."""
    kilobytes = re.search(r"^Pss:\s+(\d+) kB", _text(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return 1024 * int(kilobytes[1]) if kilobytes else 0


def own_bytes(pid: int) -> int:
    """Return :func:`process_bytes` without the pages of files, which come and go with whoever else maps them."""
    parts = re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", _text(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return 1024 * sum(map(int, parts))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""
