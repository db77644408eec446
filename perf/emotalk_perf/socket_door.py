"""Live streams over a gateway's WebSocket: a door for :mod:`emotalk_perf.streams`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import websockets
from numpy.typing import NDArray

from emotalk_client.errors import UnexpectedResponse
from emotalk_client.faces.animation import Frame
from emotalk_client.live.latency import LatencyMeter
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, SAMPLE_RATE
from emotalk_perf.streams import Asked, Heard, paced

MOST_STREAMS = 1024
"""WebSockets at once that the gateway which is measured admits."""
ROW = 2 + BLENDSHAPE_COUNT
"""Numbers of a frame: its index, its timecode, its weights."""


class SocketDoor:
    """``/ws/stream`` of the gateway at ``port`` on this machine, whose process is ``pid``; frames come as float32."""

    def __init__(self, port: int, pid: int, recipe: Recipe) -> None:
        self.pids: Mapping[str, int] = {"gateway": pid}
        self._url = f"ws://127.0.0.1:{port}/ws/stream"
        self._recipe = recipe

    async def stream(self, clip: NDArray[np.float32], asked: Asked) -> Heard:
        """See :class:`~emotalk_perf.streams.Door`."""
        meter = LatencyMeter()
        latencies: list[float] = []
        first: float | None = None
        answers = 0
        options = {"hop": asked.hop / FPS}
        if asked.path == "windows":
            options["context"] = self._recipe.live_context_s
        start = {"type": "start", "sample_rate": SAMPLE_RATE, "format": "float32", "frames": "float32"}
        async with websockets.connect(self._url, compression=None, max_size=None) as socket:
            await socket.send(json.dumps(start | {"options": options}))
            said = json.loads(await socket.recv())
            if said["type"] != "started":
                raise UnexpectedResponse(f"the gateway said {said}")
            began = time.monotonic()

            async def listen() -> None:
                nonlocal first, answers
                async for message in socket:
                    if isinstance(message, str):
                        if json.loads(message)["type"] != "end":
                            raise UnexpectedResponse(f"the gateway said {message}")
                        return
                    first = time.monotonic() - began if first is None else first
                    answers += 1
                    rows = np.frombuffer(message, "<f4").reshape(-1, ROW)
                    latencies.extend(meter.arrived(Frame(int(row[0]), float(row[1]), row[2:])) for row in rows)

            async def say(block: NDArray[np.float32], end: int) -> None:
                meter.spoken(end / SAMPLE_RATE)
                await socket.send(block.astype("<f4").tobytes())

            listener = asyncio.create_task(listen())
            try:
                await paced(clip, asked.speed, say)
                await socket.send(json.dumps({"type": "end"}))
                await listener
            finally:
                listener.cancel()
        return Heard(np.array(latencies), first if first is not None else float("nan"), answers)


@contextmanager
def gateway(url: str) -> Iterator[tuple[int, int]]:
    """The port and the process of a gateway to the Triton at ``url``, started for this.

    Raises:
        UnexpectedResponse: it does not start.
    """
    command = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", url, "--port", "0"]
    environment = os.environ | {
        f"EMOTALK_GATEWAY_{name}": str(MOST_STREAMS) for name in ("MAX_STREAMS", "MAX_STARTING")
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = process.stdout.readline() if process.stdout is not None else ""
            found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
            if found is None:
                raise UnexpectedResponse(f"the gateway did not start; it said {said!r}")
            yield int(found[1]), process.pid
        finally:
            process.terminate()
