"""Paced live streams against one server: how late frames come, and how many streams it holds.

A stream pushes blocks of 10 ms when their last sample would have been spoken. A frame's latency runs from the moment
that its own audio (f/30 s) has been pushed to the moment that the session hands it out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_client.live.latency import LatencyMeter
from emotalk_client.live.microphone import BLOCK_S
from emotalk_contract.timing import SAMPLE_RATE, frame_count
from emotalk_perf.report import table

HOLDS_S = 0.3
"""Seconds: a number of streams holds while 95 % of frames come within this."""


@dataclass(frozen=True, slots=True)
class Load:
    """Measurements of N streams at once."""

    streams: int
    latencies: NDArray[np.float64]
    """Seconds, of all frames of all streams."""
    first_frames: NDArray[np.float64]
    """Seconds from each stream's first sample to its first frame."""
    missing: int
    """Frames that never came."""
    windows: int
    seconds: float

    def quantile(self, share: float) -> float:
        """Seconds within which ``share`` of the frames came."""
        return float(np.quantile(self.latencies, share))

    @property
    def holds(self) -> bool:
        """True where the server holds so many."""
        return self.missing == 0 and self.quantile(0.95) <= HOLDS_S


async def load(client: AsyncEmoTalkClient, clip: NDArray[np.float32], streams: int, seconds: float) -> Load:
    """Run ``streams`` streams of ``seconds`` seconds of ``clip`` [samples, 16 kHz], which is repeated as needed; they
    start evenly spread over a tenth of a second, as strangers would.
    """
    samples = round(seconds * SAMPLE_RATE)
    speech = np.resize(clip, samples)
    # A different place in the clip for each, so that no two are the same.
    clips = [np.roll(speech, -number * samples // streams) for number in range(streams)]
    results = await asyncio.gather(*(_stream(client, part, n * 0.1 / streams) for n, part in enumerate(clips)))
    return Load(
        streams,
        np.concatenate([latencies for latencies, _, _ in results]),
        np.array([first for _, first, _ in results]),
        streams * frame_count(samples) - sum(len(latencies) for latencies, _, _ in results),
        sum(windows for _, _, windows in results),
        seconds,
    )


async def _stream(
    client: AsyncEmoTalkClient, clip: NDArray[np.float32], delay_s: float
) -> tuple[NDArray[np.float64], float, int]:
    await asyncio.sleep(delay_s)
    meter, size = LatencyMeter(), round(BLOCK_S * SAMPLE_RATE)
    latencies: list[float] = []
    async with client.live(sample_rate=SAMPLE_RATE) as session:
        began = time.monotonic()
        first = None

        async def listen() -> None:
            nonlocal first
            while frames := await session.receive():
                first = time.monotonic() - began if first is None else first
                latencies.extend(meter.arrived(frame) for frame in frames)

        listener = asyncio.create_task(listen())
        for end in range(size, len(clip) + size, size):
            await asyncio.sleep(max(0.0, began + end / SAMPLE_RATE - time.monotonic()))
            meter.spoken(min(end, len(clip)) / SAMPLE_RATE)
            await session.feed(clip[end - size : end])
        await session.finish()
        await listener
        return np.array(latencies), first if first is not None else float("nan"), session.status.windows


def run(url: str, clip: NDArray[np.float32], counts: Sequence[int], seconds: float) -> list[Load]:
    """Loads of growing numbers of streams, up to the first that does not hold."""

    async def main() -> list[Load]:
        loads: list[Load] = []
        async with AsyncEmoTalkClient(url) as client:
            await load(client, clip, 1, 2.0)  # a connection, and warm code
            for count in counts:
                loads.append(await load(client, clip, count, seconds))
                if not loads[-1].holds:
                    break
        return loads

    return asyncio.run(main())


def markdown(loads: Sequence[Load]) -> str:
    """A table, and the largest number that held."""
    head = [
        "streams",
        "p50",
        "p95",
        "p99",
        "largest",
        f"later than {1000 * HOLDS_S:g} ms",
        "first frame",
        "windows a second",
    ]
    rows = [
        [
            str(one.streams),
            *(f"{1000 * one.quantile(share):.0f} ms" for share in (0.5, 0.95, 0.99, 1.0)),
            f"{100 * float((one.latencies > HOLDS_S).mean()):.1f} %",
            f"{1000 * float(one.first_frames.max()):.0f} ms",
            f"{one.windows / one.seconds:.0f}",
        ]
        for one in loads
    ]
    most = max((one.streams for one in loads if one.holds), default=0)
    return f"{table(head, rows)}\n\nThe most of which 95 % of frames came within {1000 * HOLDS_S:g} ms: {most}."


def plot(loads: Sequence[Load], path: Path) -> None:
    """Latency against the number of streams: an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    counts = [one.streams for one in loads]
    for share, name in ((0.99, "p99"), (0.95, "p95"), (0.5, "p50")):
        axis.plot(counts, [1000 * one.quantile(share) for one in loads], marker="o", label=name)
    axis.axhline(1000 * HOLDS_S, color="grey", linestyle=":", linewidth=1)
    axis.set_xlabel("live streams at once")
    axis.set_ylabel("latency of frames, ms")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    figure.savefig(path)
