"""The most live streams that a server holds, found by doubling and bisection; and tables of what was measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS
from emotalk_perf import socket_door
from emotalk_perf.report import table
from emotalk_perf.streams import CALLER, HOLDS_S, WARM_S, Asked, ClientDoor, Door, Load, load

LEAST_STEP = 1 / 16
"""Of a number of streams: the search goes no finer."""
TRIES = 2
"""Runs of a number that must fail for it to count as too many: a machine hiccups."""

Told = Callable[[Load], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Measurements to make: each hop on each path."""

    hops: Sequence[int]
    """Frames between two requests."""
    paths: Sequence[str]
    counts: Sequence[int]
    """Numbers of streams; none: the most that hold are looked for."""
    seconds: float
    """Of each stream."""
    over_gateway: bool = False
    """Over a gateway's WebSocket, not with the client in this process."""


async def search(run: Callable[[int], Awaitable[Load]], most: int) -> list[Load]:
    """Return the loads of the numbers of streams that were tried, rising: doubled, then bisected.

    Args:
        run: measures a number of streams.
        most: streams that are tried at most.
    """

    loads: dict[int, Load] = {}

    async def holds(streams: int) -> bool:
        one = await run(streams)
        for _ in range(TRIES - 1):
            if not one.holds:
                one = min(one, await run(streams), key=lambda each: (each.missing, each.quantile(0.95)))
        loads[streams] = one
        return one.holds

    low, high = 0, 1
    while await holds(high):
        if high == most:
            return [loads[streams] for streams in sorted(loads)]
        low, high = high, min(most, 2 * high)
    while high - low > max(1, low * LEAST_STEP):
        middle = (low + high) // 2
        if await holds(middle):
            low = middle
        else:
            high = middle
    return [loads[streams] for streams in sorted(loads)]


def run(url: str, clip: NDArray[np.float32], plan: Plan, most: int, server: int | None, told: Told) -> list[Load]:
    """Measure ``plan`` at the Triton at ``url``, whose process is ``server`` where it is on this machine.

    Args:
        url: ``host:port``.
        clip: speech [samples, 16 kHz].
        plan: see :class:`Plan`.
        most: streams that are tried at most.
        server: process.
        told: hears of each measurement.
    """

    async def main(door_of: Callable[[AsyncEmoTalkClient, Recipe], Door]) -> list[Load]:
        loads: list[Load] = []
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(AsyncEmoTalkClient(url))
            door = door_of(client, Recipe.from_strings(await client.describe()))
            for path in plan.paths:
                for hop in plan.hops:
                    asked = Asked(1, hop, path, plan.seconds)  # type: ignore[arg-type]  # the command checks it
                    await load(door, clip, replace(asked, seconds=WARM_S))

                    async def measured(streams: int, asked: Asked = asked) -> Load:
                        one = await load(door, clip, replace(asked, streams=streams), server)
                        told(one)
                        return one

                    if plan.counts:
                        loads += [await measured(streams) for streams in plan.counts]
                    else:
                        loads += await search(measured, most)
        return loads

    if not plan.over_gateway:
        return asyncio.run(main(ClientDoor))
    with socket_door.gateway(url) as (port, pid):
        return asyncio.run(main(lambda _, recipe: socket_door.SocketDoor(port, pid, recipe)))


def line(one: Load) -> str:
    """Return a measurement in a line."""
    asked = one.asked
    return (
        f"{asked.path}, hop {_hop(asked.hop)}, {asked.streams} streams: p50 {_ms(one.quantile(0.5))}, "
        f"p95 {_ms(one.quantile(0.95))}, first frame {_ms(float(one.first_frames.max()))}, "
        f"{one.missing} missing, {one.cpu_ms():.1f} ms of CPU a hop"
    )


def markdown(loads: Sequence[Load]) -> str:
    """The most that hold, by path and hop; latencies; processor time by process."""
    return "\n\n".join((_most(loads), _latencies(loads), _costs(loads)))


def _most(loads: Sequence[Load]) -> str:
    head = ["path", "hop", f"most streams with p95 within {1000 * HOLDS_S:g} ms", "first frame", "CPU a hop, then"]
    rows = []
    for (path, hop), group in groupby(loads, key=lambda one: (one.asked.path, one.asked.hop)):
        held = [one for one in group if one.holds]
        best = max(held, key=lambda one: one.asked.streams, default=None)
        cells = ["none", "", ""]
        if best is not None:
            cells = [str(best.asked.streams), _ms(float(best.first_frames.max())), f"{best.cpu_ms():.1f} ms"]
        rows.append([path, _hop(hop), *cells])
    return table(head, rows)


def _latencies(loads: Sequence[Load]) -> str:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "largest": 1.0}
    head = ["path", "hop", "streams", *shares, f"later than {1000 * HOLDS_S:g} ms", "first frame", "requests a hop"]
    rows = [
        [
            one.asked.path,
            _hop(one.asked.hop),
            str(one.asked.streams),
            *(_ms(one.quantile(share)) for share in shares.values()),
            f"{100 * float((one.latencies > HOLDS_S).mean()):.1f} %",
            _ms(float(one.first_frames.max())),
            f"{one.requests / one.hops:.2f}",
        ]
        for one in loads
    ]
    return table(head, rows)


def _costs(loads: Sequence[Load]) -> str:
    kinds = sorted({kind for one in loads for kind in one.cpu if one.cpu_ms(kind) >= 0.005}, key=_order)
    head = ["milliseconds of CPU a hop", "hop", "streams", "all", *(kind.removeprefix("stub ") for kind in kinds)]
    rows = [
        [
            one.asked.path,
            _hop(one.asked.hop),
            str(one.asked.streams),
            f"{one.cpu_ms():.2f}",
            *(f"{one.cpu_ms(kind):.2f}" if kind in one.cpu else "" for kind in kinds),
        ]
        for one in loads
    ]
    return table(head, rows)


def _order(kind: str) -> tuple[bool, str]:
    return kind != CALLER, kind


def _hop(frames: int) -> str:
    return f"{1000 * frames / FPS:.0f} ms"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def plot(loads: Sequence[Load], path: Path) -> None:
    """Latency against the number of streams, a curve for each path and hop: an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    for (way, hop), group in groupby(loads, key=lambda one: (one.asked.path, one.asked.hop)):
        shown = list(group)
        counts = [one.asked.streams for one in shown]
        late = [1000 * one.quantile(0.95) for one in shown]
        style = "-" if way == "steps" else "--"
        axis.plot(counts, late, style, marker="o", label=f"{way}, {_hop(hop)} hops")
    axis.axhline(1000 * HOLDS_S, color="grey", linestyle=":", linewidth=1)
    axis.set_xlabel("live streams at once")
    axis.set_ylabel("95 % of frames come within, ms")
    axis.set_ylim(0, 3 * 1000 * HOLDS_S)
    axis.set_xscale("log", base=2)
    axis.legend(frameon=False)
    figure.savefig(path)
