"""A service under mixed load, at a share of its capacity, for as long as planned; the report is written as it goes."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf import capacity as capacities
from emotalk_perf.attacked.answers import RIGHT
from emotalk_perf.attacked.service import Service
from emotalk_perf.attacked.watched import HOST
from emotalk_perf.capacity import Capacity
from emotalk_perf.errors import RunEnded
from emotalk_perf.hostile.case import Target
from emotalk_perf.soak.memory import Memory
from emotalk_perf.soak.report import MEMORY, Report, Seen
from emotalk_perf.traffic.arrivals import arrive
from emotalk_perf.traffic.conversations import HOP, converse
from emotalk_perf.traffic.ledger import Clock, Ledger
from emotalk_perf.traffic.mix import STREAMS, Mix, mix
from emotalk_perf.traffic.strangers import strangers

MEASURED_S = 6.0
"""Seconds of each measurement of the capacity."""
MOST_STREAMS = 256
"""That are tried."""
BEAT_S, BEATS = 60.0, 20
"""Seconds between two reports, and how many a short run has at least."""
HELD_STRANGERS = 32
"""Strangers at once: one that never reads takes half a minute."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run."""

    minutes: float = 60.0
    share: float = 0.7
    """Of the capacity, which is measured first; each kind has an equal part of it."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Instead: requests a minute by kind, and streams at once; kinds that are not named are left out."""
    hostile: float = 6.0
    """Strangers a minute."""
    models: str = "core,live,speech"
    seed: int = 0


class Ended(Exception):  # somebody asked for it
    """The run was ended before its load began."""


def run(
    clip: NDArray[np.float32], plan: Plan, repository: Path | None, folder: Path, tell: Callable[[str], None]
) -> Seen:
    """Carry ``plan`` out with callers that speak ``clip`` [samples, 16 kHz]; SIGINT and SIGTERM end it early.

    Args:
        folder: takes the report, which is written while the run goes.

    Raises:
        ServiceNotStarted: the service does not serve in time.
        UnwritableFile: ``folder`` cannot be written.
        RunEnded: a signal came before the load began.
    """
    report = Report(folder)
    with Service(repository, models=plan.models, settings=capacities.SETTINGS) as service:
        seen = asyncio.run(_main(clip, plan, service, report, tell))
    seen.tracebacks = service.tracebacks
    report.write(seen)
    _draw(folder)
    return seen


async def _main(
    clip: NDArray[np.float32], plan: Plan, service: Service, report: Report, tell: Callable[[str], None]
) -> Seen:
    stopping = asyncio.Event()
    with _signals(stopping):
        async with mix(service, clip) as found:
            measured = None if plan.rates else await _measured(clip, service, found, stopping, tell)
            rates = shared(measured, found, plan.share) if measured is not None else divided(plan.rates, found)
            return await _load(plan, service, found, rates, measured, report, stopping, tell)


async def _measured(
    clip: NDArray[np.float32], service: Service, found: Mix, stopping: asyncio.Event, tell: Callable[[str], None]
) -> Capacity:
    measuring = asyncio.create_task(
        capacities.measure(service, clip, found, hops=[HOP], seconds=MEASURED_S, most=MOST_STREAMS, tell=tell)
    )
    ending = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([measuring, ending], return_when=asyncio.FIRST_COMPLETED)
        if not measuring.done():
            raise RunEnded("the run was ended while the capacity was being measured")
        return measuring.result()
    finally:
        measuring.cancel()
        ending.cancel()


def shared(measured: Capacity, found: Mix, share: float) -> dict[str, float]:
    """Return requests a minute by name, and streams at once: each has an equal part of ``share`` of the capacity."""
    names = [STREAMS, *found.asks]
    return {name: share / len(names) * measured.most(name) for name in names}


def divided(rates: Mapping[str, float], found: Mix) -> dict[str, float]:
    """Return the same of ``rates`` by kind: each length of its clips has an equal part."""
    names = {name: kind for kind in rates for name in found.of(kind)}
    each = {name: rates[kind] / len(found.of(kind)) for name, kind in names.items()}
    return each | ({STREAMS: rates[STREAMS]} if STREAMS in rates else {})


async def _load(
    plan: Plan,
    service: Service,
    found: Mix,
    rates: Mapping[str, float],
    measured: Capacity | None,
    report: Report,
    stopping: asyncio.Event,
    tell: Callable[[str], None],
) -> Seen:
    clock = Clock(time.monotonic(), 60 * plan.minutes)
    asking = {name: Ledger(name, clock, rates[name]) for name in found.asks if rates.get(name)}
    streams = max(1, round(rates[STREAMS])) if rates.get(STREAMS) else 0
    talking = Ledger(STREAMS, clock)
    honest = [*([talking] if streams else []), *asking.values()]
    hostile = Ledger("strangers", clock, plan.hostile) if plan.hostile else None
    target = Target(HOST, service.http, service.grpc, service.gateway, service.mark)
    choice = random.Random(plan.seed)  # noqa: S311  # no secret
    length_s = len(found.spoken.clip) / SAMPLE_RATE
    with (
        ThreadPoolExecutor(HELD_STRANGERS) as pool,
        Memory(service.mark, clock, report.folder / MEMORY) as memory,
    ):
        seen = Seen(clock, honest, hostile, memory, streams, None if plan.rates else plan.share, measured)
        work = [arrive(found.asks[name], ledger, plan.seed, stopping) for name, ledger in asking.items()]
        work += [
            converse(service.gateway, found.spoken, talking, choice.uniform(0, length_s), stopping)
            for _ in range(streams)
        ]
        if hostile is not None:
            work.append(arrive(strangers(target, pool), hostile, plan.seed, stopping, timed=False))
        reporting = asyncio.create_task(_report(seen, report, tell))
        try:
            await asyncio.gather(*work)
        finally:
            reporting.cancel()
        seen.ended = clock.over
    return seen


async def _report(seen: Seen, report: Report, tell: Callable[[str], None]) -> None:
    """Write the report every minute. Its picture is drawn after the run: to draw takes a core for seconds."""
    beat_s = min(BEAT_S, seen.clock.seconds / BEATS)
    while True:
        await asyncio.sleep(beat_s)
        report.write(seen)
        asked = sum(ledger.asked for ledger in seen.honest)
        right = sum(ledger.columns[RIGHT] for ledger in seen.honest)
        broken = [line.limit for line in seen.lines() if not line.held]
        tell(f"{seen.clock.since / 60:.1f} min: {right} of {asked} right; not held: {'; '.join(broken) or 'none'}")


def _draw(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "emotalk_perf.soak.drawing", str(folder)], check=False)


@contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set ``stopping`` in the block."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
            stack.callback(loop.remove_signal_handler, number)
        yield
