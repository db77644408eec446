"""Live streams over a gateway's port for Audio2Face-3D's clients, and what that door adds to the thin client.

Callers send blocks of 35 ms, as Unreal's do. The thin client, in this process, is paced alike; its processor time
stands beside that of the gateway's process, which holds the same client and the door. Runs alternate.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_client.errors import UnexpectedResponse
from emotalk_client.faces.animation import Frame
from emotalk_client.live.latency import LatencyMeter
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, SAMPLE_RATE
from emotalk_gateway.grpc.audio2face.controller import ROUTE
from emotalk_gateway.grpc.messages import message
from emotalk_perf.report import table
from emotalk_perf.streams import CALLER, WARM_S, Asked, ClientDoor, Heard, Load, load, paced

BLOCK_S = 0.035
"""Seconds of a caller's block."""
MOST_STREAMS = 1024
"""Calls at once that the gateway which is measured admits."""
GATEWAY = "gateway"


class Audio2FaceDoor:
    """``ProcessAudioStream`` of the gateway at ``target``, whose process is ``pid``; one channel for all calls."""

    def __init__(self, channel: grpc.aio.Channel, pid: int) -> None:
        self.pids: Mapping[str, int] = {GATEWAY: pid}
        self._asked = message("nvidia_ace.controller.v1.AudioStream")
        self._answer = message("nvidia_ace.controller.v1.AnimationDataStream")
        self._method = channel.stream_stream(ROUTE, self._asked.SerializeToString, self._answer.FromString)

    async def stream(self, clip: NDArray[np.float32], asked: Asked) -> Heard:
        """See :class:`~emotalk_perf.streams.Door`."""
        meter = LatencyMeter()
        latencies: list[float] = []
        first: float | None = None
        call = self._method()
        header = {"channel_count": 1, "samples_per_second": SAMPLE_RATE, "bits_per_sample": 16}
        await call.write(self._asked(audio_stream_header={"audio_header": header}))
        began = time.monotonic()

        async def listen() -> None:
            nonlocal first
            while (answer := await call.read()) is not grpc.aio.EOF:
                if not answer.HasField("animation_data"):
                    continue
                first = time.monotonic() - began if first is None else first
                (weights,) = answer.animation_data.skel_animation.blend_shape_weights
                latencies.append(meter.arrived(_frame(weights)))

        async def say(block: NDArray[np.float32], end: int) -> None:
            meter.spoken(end / SAMPLE_RATE)
            sound = np.rint(block * 32_767).astype("<i2").tobytes()
            await call.write(self._asked(audio_with_emotion={"audio_buffer": sound}))

        listener = asyncio.create_task(listen())
        try:
            await paced(clip, asked.speed, say, asked.block_s)
            await call.write(self._asked(end_of_audio={}))
            await listener
        finally:
            listener.cancel()
        return Heard(np.array(latencies), first if first is not None else float("nan"), len(latencies))


def _frame(weights: Any) -> Frame:
    return Frame(round(weights.time_code * FPS), weights.time_code, np.array(weights.values, np.float32))


@dataclass(frozen=True, slots=True)
class Compared:
    """Loads of one number of streams, with and without the door."""

    thin: list[Load]
    door: list[Load]

    @property
    def thin_ms(self) -> float:
        """Milliseconds of processor time of the thin client for a second of speech of one stream, median."""
        return median(_ms(one, CALLER) for one in self.thin)

    @property
    def door_ms(self) -> float:
        """Likewise of the gateway."""
        return median(_ms(one, GATEWAY) for one in self.door)


def _ms(one: Load, kind: str) -> float:
    return 1000 * one.cpu[kind] / (one.asked.streams * one.asked.seconds)


def run(url: str, clip: NDArray[np.float32], counts: Sequence[int], seconds: float, runs: int) -> list[Compared]:
    """Measure ``runs`` runs of each number of streams of ``seconds`` seconds each, with the door and without."""
    return asyncio.run(_run(url, clip, counts, seconds, runs))


async def _run(url: str, clip: NDArray[np.float32], counts: Sequence[int], seconds: float, runs: int) -> list[Compared]:
    with _gateway(url) as (target, pid):
        async with AsyncEmoTalkClient(url) as client, grpc.aio.insecure_channel(target) as channel:
            recipe = Recipe.from_strings(await client.describe())
            thin, door = ClientDoor(client, recipe), Audio2FaceDoor(channel, pid)
            for one in (thin, door):
                await load(one, clip, Asked(1, seconds=WARM_S, block_s=BLOCK_S))
            found = []
            for count in counts:
                compared = Compared([], [])
                for _ in range(runs):
                    asked = Asked(count, seconds=seconds, block_s=BLOCK_S)
                    compared.thin.append(await load(thin, clip, asked))
                    compared.door.append(await load(door, clip, asked))
                found.append(compared)
            return found


def markdown(found: Sequence[Compared]) -> str:
    """The table."""
    head = (
        "streams", "way", "p50", "p95", "largest", "first sample to first frame", "CPU for a second of speech",
        "the door adds",
    )  # fmt: skip
    rows = []
    for compared in found:
        added = f"{compared.door_ms - compared.thin_ms:.1f} ms"
        for name, loads, cpu, more in (
            ("the thin client", compared.thin, compared.thin_ms, ""),
            ("the door", compared.door, compared.door_ms, added),
        ):
            late = np.concatenate([one.latencies for one in loads])
            first = max(float(one.first_frames.max()) for one in loads)
            figures = (f"{1000 * value:.0f} ms" for value in (*np.quantile(late, [0.5, 0.95]), late.max(), first))
            rows.append((str(loads[0].asked.streams), name, *figures, f"{cpu:.1f} ms", more))
    asked = found[0].door[0].asked
    missing = sum(one.missing for compared in found for one in (*compared.thin, *compared.door))
    return (
        f"{table(head, rows)}\n\n{len(found[0].door)} alternating runs of {asked.seconds:g} s each, blocks of "
        f"{1000 * BLOCK_S:.0f} ms; CPU of one stream, medians. Frames that never came: {missing}."
    )


@contextmanager
def _gateway(url: str) -> Iterator[tuple[str, int]]:
    """The address and the process of a gateway to the Triton at ``url``, started for this."""
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", url, "--port", "0", "--a2f-port", "0"]
    environment = os.environ | {"EMOTALK_GATEWAY_MAX_STREAMS": str(MOST_STREAMS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = process.stdout.readline() if process.stdout is not None else ""
            found = re.search(r"Audio2Face-3D (127\.0\.0\.1:\d+)", said)
            if found is None:
                raise UnexpectedResponse(f"the gateway did not start; it said {said!r}")
            yield found[1], process.pid
        finally:
            process.terminate()
