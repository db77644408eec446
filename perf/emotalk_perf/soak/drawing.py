"""The picture of a run, from the tables that it leaves behind: ``python -m emotalk_perf.soak.drawing FOLDER``.

It is drawn in a process of its own, which gives way to all others: drawing takes a second, and the callers are timed.
"""

from __future__ import annotations

import csv
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from emotalk_client.faces.formats import writing
from emotalk_perf.soak.memory import FLAT, SETTLED_S, SETTLED_SHARE
from emotalk_perf.soak.report import MEMORY, MIB, MINUTES, PICTURE

NICE = 19
SMOOTH = 5
"""Samples whose median is drawn."""


def draw(folder: Path, image: Path | None = None) -> None:
    """Draw memory and latencies of the run in ``folder`` into ``image``, or ``soak.png`` beside them.

    Raises:
        UnwritableFile: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 10), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    sizes, change, waits, rates = figure.subplots(4, 1, sharex=True, height_ratios=[3, 2, 3, 2])
    _memory(folder / MEMORY, sizes, change)
    _minutes(folder / MINUTES, waits, rates)
    rates.set_xlabel("minutes")
    for axis in (sizes, change, waits, rates):
        axis.grid(color="#e6e6e6", linewidth=0.7)
    sizes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    waits.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    new = folder / f"new-{PICTURE}"
    with writing(image or folder / PICTURE):
        figure.savefig(new)
        new.replace(image or folder / PICTURE)


def _memory(path: Path, sizes: Any, change: Any) -> None:
    from matplotlib import colormaps

    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["process"]].append((float(row["seconds"]) / 60, int(row["bytes"]) / MIB))
    end = max((points[-1][0] for points in rows.values()), default=0.0)
    settled = min(SETTLED_S / 60, SETTLED_SHARE * end)
    sizes.set_prop_cycle(color=colormaps["tab20"](range(20)))
    for name, points in rows.items():
        minutes, mib = np.array(points).T
        (line,) = sizes.plot(minutes, mib, linewidth=1.2, label=name)
        later = minutes >= settled
        if later.sum() > SMOOTH and not later.all():
            smooth = np.array([np.median(mib[later][max(0, n - SMOOTH) : n + 1]) for n in range(later.sum())])
            first = np.median(mib[later][:SMOOTH])
            change.plot(minutes[later], 100 * (smooth / first - 1), linewidth=1.0, color=line.get_color())
    sizes.set_yscale("log")
    sizes.set_ylabel("memory, MiB")
    change.axhspan(-100 * FLAT, 100 * FLAT, color="#eeeeee")
    change.set_ylabel("since settled, %")


def _minutes(path: Path, waits: Any, rates: Any) -> None:
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            numbers = (row["seconds"], row["asked"], row["right"], row["p50_s"], row["p99_s"])
            rows[row["kind"]].append(tuple(map(float, numbers)))
    for name, points in rows.items():
        seconds, asked, right, p50, p99 = np.array(points).T
        length = np.diff(seconds, prepend=0.0)
        (line,) = waits.plot(seconds / 60, 1000 * p50, linewidth=1.4, label=name)
        waits.plot(seconds / 60, 1000 * p99, linewidth=0.8, linestyle="--", color=line.get_color())
        with np.errstate(divide="ignore", invalid="ignore"):
            rates.plot(seconds / 60, 60 * right / length, linewidth=1.4, color=line.get_color())
            rates.plot(seconds / 60, 60 * asked / length, linewidth=0.8, linestyle=":", color=line.get_color())
    waits.set_yscale("log")
    waits.set_ylabel("ms: p50, p99 (dashed)")
    rates.set_ylim(bottom=0)
    rates.set_ylabel("a minute: right, asked (dotted)")


def main() -> None:
    """Draw, giving way to all others."""
    os.nice(NICE)
    draw(*map(Path, sys.argv[1:]))


if __name__ == "__main__":
    main()
