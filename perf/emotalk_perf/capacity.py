"""Capacity of a machine: live streams, and files, uploads and texts a minute, by themselves.

Requests are asked in a closed loop: each of so many callers asks again as soon as it has its answer. Their number is
doubled until that brings little; what went through then is the capacity. Whoever comes beyond it waits, or is refused.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS
from emotalk_gateway.service.settings import GatewaySettings
from emotalk_perf import most_streams
from emotalk_perf.attacked.answers import RIGHT
from emotalk_perf.attacked.interrupts import interrupts
from emotalk_perf.attacked.processes import GATEWAY, STUB, SUPERVISOR
from emotalk_perf.attacked.service import Service
from emotalk_perf.attacked.usage import cpu_s
from emotalk_perf.process_tree import cpu_s as own_cpu_s
from emotalk_perf.report import table
from emotalk_perf.socket_door import MOST_STREAMS, SocketDoor
from emotalk_perf.streams import CALLER, HOLDS_S, WARM_S, Asked, Load, load
from emotalk_perf.traffic.arrivals import Ask
from emotalk_perf.traffic.histogram import Histogram
from emotalk_perf.traffic.mix import STREAMS, UPLOADS, Mix, mix

SETTINGS: Mapping[str, object] = {"MAX_STREAMS": MOST_STREAMS, "MAX_CONNECTIONS": 4 * MOST_STREAMS, "MAX_STARTING": 256}
"""Of the gateway that is measured: the machine is to be the limit."""
GAIN = 1.05
"""Times as much as with half the callers must go through, else there are enough of them."""
MOST_CALLERS = 16
WARM_ASKS = 3
ADVISED = 0.7
"""Share of the capacity that an operator is advised to admit."""
WAITS_S = 5.0
"""Seconds for which an upload may wait: more than are answered in these are better told to come again."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Requests of one kind, asked by so many callers at once."""

    name: str
    callers: int
    seconds: float
    columns: Mapping[str, int]
    waits: Histogram
    cpu: Mapping[str, float]
    """Cores in use, by kind of process."""

    @property
    def per_minute(self) -> float:
        """Right answers."""
        return 60 * self.columns.get(RIGHT, 0) / self.seconds


@dataclass(slots=True)
class Capacity:
    """The capacity of each kind, measured by itself."""

    streams: dict[int, Load | None] = field(default_factory=dict)
    """By hop in frames: the most that hold; None: not even one."""
    requests: dict[str, Throughput] = field(default_factory=dict)

    def most(self, name: str) -> float:
        """Return the requests of that name a minute, or the streams at once with the shortest hop."""
        if name != STREAMS:
            return self.requests[name].per_minute
        held = self.streams[min(self.streams)]
        return float(held.asked.streams) if held is not None else 0.0


async def saturated(name: str, ask: Ask, callers: int, seconds: float, mark: str) -> Throughput:
    """Let ``callers`` ask again and again for ``seconds``; the run's processes carry ``mark``."""
    for _ in range(WARM_ASKS):
        await ask()
    columns: Counter[str] = Counter()
    waits = Histogram()
    began, before = time.monotonic(), _cpu(mark)

    async def one() -> None:
        while (asked := time.monotonic()) < began + seconds:
            columns[(await ask()).column] += 1
            waits.add(time.monotonic() - asked)

    await asyncio.gather(*(one() for _ in range(callers)))
    taken = time.monotonic() - began
    used = {kind: (s - before.get(kind, 0.0)) / taken for kind, s in _cpu(mark).items()}
    return Throughput(name, callers, taken, columns, waits, used)


async def most_requests(name: str, ask: Ask, seconds: float, mark: str) -> Throughput:
    """Return the throughput of as many callers as bring something."""
    best = await saturated(name, ask, 1, seconds, mark)
    while best.callers < MOST_CALLERS:
        more = await saturated(name, ask, 2 * best.callers, seconds, mark)
        if more.per_minute < GAIN * best.per_minute:
            return max(best, more, key=lambda one: one.per_minute)
        best = more
    return best


async def streams(service: Service, clip: NDArray[np.float32], hop: int, seconds: float, most: int) -> Load | None:
    """Return the load of the most live streams with hops of ``hop`` frames that hold, each of ``seconds``."""
    async with AsyncEmoTalkClient(service.url) as client:
        recipe = Recipe.from_strings(await client.describe())
    door = SocketDoor(service.gateway, service.kept[GATEWAY].pid or 0, recipe)
    asked = Asked(1, hop, seconds=seconds)
    await load(door, clip, replace(asked, seconds=WARM_S))

    async def measured(count: int) -> Load:
        return await load(door, clip, replace(asked, streams=count), service.kept[SUPERVISOR].pid)

    held = [one for one in await most_streams.search(measured, most) if one.holds]
    return max(held, key=lambda one: one.asked.streams, default=None)


async def measure(
    service: Service,
    clip: NDArray[np.float32],
    found: Mix,
    *,
    hops: Sequence[int],
    seconds: float,
    most: int,
    tell: Callable[[str], None],
) -> Capacity:
    """Measure every kind by itself.

    Args:
        hops: of live streams, in frames.
        seconds: of each measurement.
        most: streams that are tried at most.
    """
    capacity = Capacity()
    for hop in hops:
        capacity.streams[hop] = held = await streams(service, clip, hop, seconds, most)
        count = held.asked.streams if held is not None else 0
        tell(f"live streams with hops of {1000 * hop / FPS:.0f} ms: {count}")
    for name, ask in found.asks.items():
        capacity.requests[name] = one = await most_requests(name, ask, seconds, service.mark)
        tell(f"{name}: {one.per_minute:.0f} a minute, {one.callers} at once")
    return capacity


def run(
    clip: NDArray[np.float32],
    repository: Path | None,
    models: str,
    *,
    hops: Sequence[int],
    seconds: float,
    most: int,
    tell: Callable[[str], None],
) -> Capacity:
    """Start a server with the groups ``models`` and a gateway, and measure them; the rest is as of :func:`measure`.

    Raises:
        ServiceNotStarted: they do not serve in time.
    """
    with interrupts(), Service(repository, models=models, settings=SETTINGS) as service:

        async def main() -> Capacity:
            async with mix(service, clip) as found:
                return await measure(service, clip, found, hops=hops, seconds=seconds, most=most, tell=tell)

        return asyncio.run(main())


def markdown(found: Capacity) -> str:
    """Return what the machine holds, what was busy then, and the settings that follow."""
    head = ["alone on this machine", "the most", "at once", "p50", "p95", "cores in use, the busiest"]
    rows = [
        [
            f"live streams, hops of {1000 * hop / FPS:.0f} ms",
            f"{held.asked.streams if held is not None else 0} at once",
            f"{held.asked.streams if held is not None else 0}",
            *((_ms(held.quantile(0.5)), _ms(held.quantile(0.95))) if held is not None else ("", "")),
            _busy({kind: s / held.asked.seconds for kind, s in held.cpu.items()}) if held is not None else "",
        ]
        for hop, held in found.streams.items()
    ]
    rows += [
        [
            one.name,
            f"{one.per_minute:.0f} a minute",
            f"{one.callers}",
            _ms(one.waits.quantile(0.5)),
            _ms(one.waits.quantile(0.95)),
            _busy(one.cpu),
        ]
        for one in found.requests.values()
    ]
    return f"{table(head, rows)}\n\n{_advice(found)}"


def advice(found: Capacity) -> dict[str, int]:
    """Return the gateway's settings that fit the machine, at :data:`ADVISED` of it; none of what was not measured."""
    advised = {}
    if found.streams:
        advised["max_streams"] = max(1, int(ADVISED * found.most(STREAMS)))
    uploads = [one for name, one in found.requests.items() if name.partition(",")[0] == UPLOADS]
    if uploads:
        slowest = min(uploads, key=lambda one: one.per_minute)
        advised["max_computing"] = max(one.callers for one in uploads)
        advised["max_requests"] = max(advised["max_computing"], int(slowest.per_minute / 60 * WAITS_S))
    return advised


def _advice(found: Capacity) -> str:
    fields = GatewaySettings.model_fields
    prefix = GatewaySettings.model_config["env_prefix"]
    rows = [[f"`{prefix}{name.upper()}`", f"{fields[name].default}", f"{n}"] for name, n in advice(found).items()]
    return (
        f"{table(['setting of the gateway', 'default', 'for this machine'], rows)}\n\n"
        f"A number of streams holds while 95 % of their frames come within {1000 * HOLDS_S:g} ms and none is missing; "
        f"requests are asked by twice as many callers until that brings less than {100 * (GAIN - 1):.0f} %. The "
        f"callers run on the same cores ({len(os.sched_getaffinity(0))}; `{CALLER}`). Advised are {ADVISED:g} of the "
        f"streams with the shortest hops, as many uploads computed at once as bring something, and as many waiting as "
        f"are answered in {WAITS_S:g} s, the longest of them. Kinds share a machine: what each one takes of its own "
        f"capacity adds up."
    )


def _busy(cores: Mapping[str, float]) -> str:
    """Return the cores in use, and the two processes that use the most."""
    first = sorted(cores.items(), key=lambda item: -item[1])[:2]
    parts = ", ".join(f"{kind.removeprefix(STUB)} {used:.2f}" for kind, used in first)
    return f"{sum(cores.values()):.2f}: {parts}"


def _cpu(mark: str) -> dict[str, float]:
    return cpu_s(mark) | {CALLER: own_cpu_s(os.getpid())}


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
