"""Memory of a worker through much speech."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_perf.attacked.interrupts import interrupts
from emotalk_perf.attacked.usage import PeakMemory
from emotalk_perf.errors import ServiceNotStarted
from emotalk_perf.queue import work
from emotalk_perf.queue.report import MAX_BYTES, MIB
from emotalk_perf.queue.stage import Stage
from emotalk_perf.report import table

GROWTH_BYTES = 16 * MIB
"""That the last quarter's peak may lie above the second's."""
POLL_S = 0.2
LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Soak:
    """Peaks of a worker's resident size."""

    clips: int
    speech_s: float
    ready: int
    """Bytes when it had done nothing."""
    quarters: tuple[int, ...]
    """Bytes at most in each quarter of the clips."""
    seconds: float


def run(
    speech: NDArray[np.float32],
    *,
    hours: float,
    clip_s: float,
    repository: Path | None,
    tell: Callable[[str], None],
) -> Soak:
    """Send ``hours`` of ``speech`` through one worker, in clips of ``clip_s`` seconds.

    Raises:
        ServiceNotStarted: something does not start, or is not done in an hour.
    """
    count = max(4, round(hours * 3600 / clip_s))
    with interrupts(), Stage(8, (), repository) as stage:
        stage.start_workers(1)
        (worker,) = stage.workers
        quarters: list[int] = []
        with PeakMemory(lambda: worker.pid) as peak:
            time.sleep(2.0)
            ready = peak.renew()
            began = time.monotonic()
            for quarter in range(4):
                numbers = range(quarter * count // 4, (quarter + 1) * count // 4)
                clips = [work.Request(f"{n}", f"key-{n % 8}", work.sound(speech, clip_s, from_s=n)) for n in numbers]
                stage.enqueue(clips)
                _await(stage, began)
                quarters.append(peak.renew())
                tell(f"{numbers.stop} of {count} clips: {quarters[-1] / MIB:.0f} MiB at most")
            seconds = time.monotonic() - began
    return Soak(count, count * clip_s, ready, tuple(quarters), seconds)


def _await(stage: Stage, began: float) -> None:
    while time.monotonic() < began + LIMIT_S:
        done, of = stage.committed()
        if done == of:
            return
        time.sleep(POLL_S)
    raise ServiceNotStarted(f"{done} of {of} requests were done with in {LIMIT_S:g} s; {stage.said()}")


def markdown(soak: Soak) -> str:
    """Return a table: MiB when ready, and at most in each quarter."""
    sizes = [soak.ready, *soak.quarters]
    head = ["MiB, one worker", "when ready", *(f"quarter {n + 1}" for n in range(len(soak.quarters)))]
    row = [f"{soak.speech_s / 60:.0f} minutes of speech, {soak.clips} clips", *(f"{size / MIB:.0f}" for size in sizes)]
    return table(head, [row])


def broken(soak: Soak) -> list[str]:
    """Return the limits that were broken."""
    found = []
    if max(soak.quarters) > MAX_BYTES:
        found.append(f"a worker of {max(soak.quarters) / MIB:.0f} MiB; accepted: {MAX_BYTES // MIB}")
    if soak.quarters[-1] > soak.quarters[1] + GROWTH_BYTES:
        grown = (soak.quarters[-1] - soak.quarters[1]) / MIB
        found.append(f"a worker that grows: {grown:.0f} MiB from the second to the last quarter; accepted: 16")
    return found
