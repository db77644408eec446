"""Paced live streams against one server: how late their frames come, and what each hop costs.

A stream pushes blocks of 10 ms when their last sample would have been spoken. A frame's latency runs from the moment
that its own audio (f/30 s) has been pushed to the moment that it is handed out. Latencies depend on whatever else the
machine does; processor time hardly does, and stands beside them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_client.live.latency import LatencyMeter
from emotalk_client.live.microphone import BLOCK_S
from emotalk_client.live.settings import LiveOptions
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_count
from emotalk_perf.process_tree import cpu_by_kind, cpu_s

HOLDS_S = 0.3
"""Seconds: a number of streams holds while 95 % of frames come within this."""
SPREAD_S = 0.1
"""Seconds over which the starts of streams are spread, as strangers would start."""
WARM_S = 2.0
"""Seconds of a stream that nobody measures: a connection, and warm code."""
CALLER = "caller"
"""This process: it paces the streams, and is the client where there is not a gateway between."""

Path = Literal["steps", "windows"]
"""``steps``: what the served model allows. ``windows``: as for a model that does not stream."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The streams of one measurement."""

    streams: int
    hop: int = 2
    """Frames between two requests."""
    path: Path = "steps"
    seconds: float = 20.0
    """Of each stream."""
    speed: float = 1.0
    """Times real time."""
    block_s: float = BLOCK_S
    """Seconds of sound that a caller says at once."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Measurements of one stream."""

    latencies: NDArray[np.float64]
    """Seconds, of each frame."""
    first_s: float
    """From the first sample to the first frame."""
    requests: int
    """That it sent, or answers that it got where a gateway sent them."""


@dataclass(frozen=True, slots=True)
class Load:
    """Measurements of N streams at once."""

    asked: Asked
    latencies: NDArray[np.float64]
    """Seconds, of all frames of all streams."""
    first_frames: NDArray[np.float64]
    """Seconds from each stream's first sample to its first frame."""
    missing: int
    """Frames that never came."""
    requests: int
    cpu: Mapping[str, float]
    """Seconds of processor time, by the kind of process."""

    def quantile(self, share: float) -> float:
        """Seconds within which ``share`` of the frames came."""
        return float(np.quantile(self.latencies, share))

    @property
    def holds(self) -> bool:
        """True where the server holds so many."""
        return self.missing == 0 and self.quantile(0.95) <= HOLDS_S

    @property
    def hops(self) -> float:
        """Hops of speech in all streams together, whatever number of requests they were sent in."""
        asked = self.asked
        return asked.streams * asked.seconds * FPS / asked.hop

    def cpu_ms(self, kind: str | None = None) -> float:
        """Milliseconds of processor time for a hop, of processes of one ``kind``, or of all."""
        seconds = sum(self.cpu.values()) if kind is None else self.cpu.get(kind, 0.0)
        return 1000 * seconds / self.hops


class Door(Protocol):
    """A way in for one stream at a time, any number of them at once."""

    pids: Mapping[str, int]
    """Processes that belong to it beside the server and this one, by name."""

    async def stream(self, clip: NDArray[np.float32], asked: Asked) -> Heard:
        """Speak ``clip`` [samples, 16 kHz], paced; return what was heard."""


Say = Callable[[NDArray[np.float32], int], Awaitable[None]]
"""Says a block, which ends at that sample of its clip."""


async def paced(clip: NDArray[np.float32], speed: float, say: Say, block_s: float = BLOCK_S) -> None:
    """Await ``say(block, its end)`` for each block of ``clip``, when its last sample would have been spoken."""
    size = round(block_s * SAMPLE_RATE)
    began = time.monotonic()
    for end in range(size, len(clip) + size, size):
        await asyncio.sleep(max(0.0, began + end / SAMPLE_RATE / speed - time.monotonic()))
        await say(clip[end - size : end], min(end, len(clip)))


class ClientDoor:
    """The thin client in this process, on one connection."""

    def __init__(self, client: AsyncEmoTalkClient, recipe: Recipe) -> None:
        self.pids: Mapping[str, int] = {}
        self._client = client
        self._recipe = recipe

    async def stream(self, clip: NDArray[np.float32], asked: Asked) -> Heard:
        """See :class:`Door`."""
        meter = LatencyMeter()
        latencies: list[float] = []
        first: float | None = None
        options: LiveOptions = {"hop": asked.hop / FPS}
        if asked.path == "windows":
            options["context"] = self._recipe.live_context_s
        async with self._client.live(sample_rate=SAMPLE_RATE, **options) as session:
            began = time.monotonic()

            async def listen() -> None:
                nonlocal first
                while frames := await session.receive():
                    first = time.monotonic() - began if first is None else first
                    latencies.extend(meter.arrived(frame) for frame in frames)

            async def say(block: NDArray[np.float32], end: int) -> None:
                meter.spoken(end / SAMPLE_RATE)
                await session.feed(block)

            listener = asyncio.create_task(listen())
            try:
                await paced(clip, asked.speed, say, asked.block_s)
                await session.finish()
                await listener
            finally:
                listener.cancel()
            return Heard(np.array(latencies), first if first is not None else float("nan"), session.status.windows)


async def load(door: Door, clip: NDArray[np.float32], asked: Asked, server: int | None = None) -> Load:
    """Run the streams that are ``asked`` for, of ``clip`` [samples, 16 kHz], which is repeated as needed.

    Args:
        door: the way in.
        clip: speech; every stream starts at another place in it, so that no two are the same.
        asked: how many, and how.
        server: process of a Triton on this machine, whose processor time is looked at.
    """
    samples = round(asked.seconds * SAMPLE_RATE)
    speech = np.resize(clip, samples)

    async def one(number: int) -> Heard:
        await asyncio.sleep(number * SPREAD_S / asked.streams)
        return await door.stream(np.roll(speech, -number * samples // asked.streams), asked)

    before = _cpu(door, server)
    results = await asyncio.gather(*(one(number) for number in range(asked.streams)))
    used = {kind: seconds - before.get(kind, 0.0) for kind, seconds in _cpu(door, server).items()}
    return Load(
        asked,
        np.concatenate([heard.latencies for heard in results]),
        np.array([heard.first_s for heard in results]),
        asked.streams * frame_count(samples) - sum(len(heard.latencies) for heard in results),
        sum(heard.requests for heard in results),
        used,
    )


def _cpu(door: Door, server: int | None) -> dict[str, float]:
    found = {CALLER: cpu_s(os.getpid())}
    found.update((name, cpu_s(pid)) for name, pid in door.pids.items())
    return found | (cpu_by_kind(server) if server is not None else {})
