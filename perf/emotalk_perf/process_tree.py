"""Memory of a process and all that it started, as Linux counts it."""

from __future__ import annotations

import re
from pathlib import Path


def tree_bytes(pid: int) -> int:
    """Proportional set size of ``pid`` and its descendants: pages that several share are counted once in all."""
    return sum(_pss(each) for each in (pid, *_descendants(pid)))


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _text(children).split()):
            found += [child, *_descendants(child)]
    return found


def _pss(pid: int) -> int:
    kilobytes = re.search(r"^Pss:\s+(\d+) kB", _text(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return 1024 * int(kilobytes[1]) if kilobytes else 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""
