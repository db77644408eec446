"""Live streams for hours: memory by process, and whether a clock drifts.

A stream that lost or gained frames against its sound would be seen twice: in the number of its frames, and in latencies
that grow.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS
from emotalk_perf.process_tree import bytes_by_kind, process_bytes
from emotalk_perf.report import table
from emotalk_perf.streams import CALLER, WARM_S, Asked, ClientDoor, Load, load

SETTLED_SHARE = 1 / 12
"""Of the run, after which memory counts as settled: five minutes of an hour."""
LOOKS = 60
"""Times that memory is looked at."""
EDGE = 0.1
"""Share of a stream's frames at its beginning, and at its end, whose latencies are compared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run of several streams."""

    hours: float
    """Of speech in each stream."""
    streams: int
    hop: int
    """Frames."""
    speed: float
    """Times real time."""


@dataclass(frozen=True, slots=True)
class Soak:
    """Measurements of the run."""

    plan: Plan
    load: Load
    memory: Sequence[Mapping[str, int]]
    """Bytes by kind of process, at equal distances in time."""

    @property
    def settled(self) -> Sequence[Mapping[str, int]]:
        """Memory from then on."""
        return self.memory[max(1, round(len(self.memory) * SETTLED_SHARE)) :] or self.memory


def run(url: str, clip: NDArray[np.float32], plan: Plan, server: int, told: Callable[[str], None]) -> Soak:
    """Run ``plan`` at the Triton at ``url``, whose process is ``server``."""
    seconds = plan.hours * 3600
    asked = Asked(plan.streams, plan.hop, seconds=seconds, speed=plan.speed)
    memory: list[Mapping[str, int]] = []

    async def look() -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(seconds / plan.speed / LOOKS)
            memory.append(bytes_by_kind(server) | {CALLER: process_bytes(os.getpid())})
            told(f"{(time.monotonic() - began) / 60:.1f} min: {sum(memory[-1].values()) / 2**20:.0f} MiB")

    async def main() -> Load:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(AsyncEmoTalkClient(url))
            door = ClientDoor(client, Recipe.from_strings(await client.describe()))
            await load(door, clip, Asked(plan.streams, plan.hop, seconds=WARM_S))
            looking = asyncio.create_task(look())
            try:
                return await load(door, clip, asked, server)
            finally:
                looking.cancel()

    return Soak(plan, asyncio.run(main()), memory)


def markdown(found: Soak) -> str:
    """Memory by process; frames, and latencies at both ends."""
    kinds = sorted({kind for look in found.memory for kind in look})
    head = ["MiB", "settled", "least since", "most since", "at the end", "change"]
    rows = []
    for kind in kinds:
        sizes = [look.get(kind, 0) / 2**20 for look in found.settled]
        change = 100 * (sizes[-1] / sizes[0] - 1) if sizes[0] else 0.0
        rows.append(
            [
                kind.removeprefix("stub "),
                *(f"{size:.1f}" for size in (sizes[0], min(sizes), max(sizes), sizes[-1])),
                f"{change:+.1f} %",
            ]
        )
    plan, load = found.plan, found.load
    frames = len(load.latencies) // plan.streams
    each = load.latencies[: frames * plan.streams].reshape(plan.streams, -1)
    edge = max(1, round(EDGE * frames))
    begin, end = (1000 * float(np.median(part)) for part in (each[:, :edge], each[:, -edge:]))
    return (
        f"{table(head, rows)}\n\n{plan.streams} streams of {plan.hours:g} h, hops of {1000 * plan.hop / FPS:.0f} ms, "
        f"{plan.speed:g} times real time: {len(load.latencies)} frames, {load.missing} missing; the median latency is "
        f"{begin:.0f} ms in the first tenth and {end:.0f} ms in the last; {load.cpu_ms():.2f} ms of CPU a hop."
    )
