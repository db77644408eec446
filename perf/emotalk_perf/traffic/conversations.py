"""Live streams over a gateway's WebSocket: utterance after utterance on one connection, in real time."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import websockets
from numpy.typing import NDArray

from emotalk_client.faces.animation import Frame
from emotalk_client.live.latency import LatencyMeter
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_count
from emotalk_perf.attacked.answers import CUT_OFF, REFUSED, WRONG, Judged, Known
from emotalk_perf.attacked.watched import HOST
from emotalk_perf.errors import ServiceNotStarted
from emotalk_perf.socket_door import ROW
from emotalk_perf.streams import paced
from emotalk_perf.traffic.arrivals import stopped_within
from emotalk_perf.traffic.ledger import Clock, Ledger
from emotalk_perf.traffic.requests import SAME

HOP = 2
"""Frames between two requests."""
BLOCK_S = 0.02
"""Seconds of sound in a message, as of a browser's microphone."""
UTTERANCES = 10
"""On one connection; the next ones come on another."""
PAUSE_S = 0.5
"""Seconds after which somebody who was refused comes again."""


class Refused(Exception):
    """The gateway answered with an error, in words."""


class Line:
    """One connection."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket

    async def start(self) -> None:
        """Begin.

        Raises:
            Refused: the gateway takes no more.
        """
        said = {"type": "start", "sample_rate": SAMPLE_RATE, "format": "float32", "frames": "float32"}
        await self._socket.send(json.dumps(said | {"options": {"hop": HOP / FPS}}))
        await self._told("started")

    async def speak(self, clip: NDArray[np.float32], ledger: Ledger) -> NDArray[np.float32]:
        """Speak ``clip`` [samples, 16 kHz] as time goes by; return the rows [frames, ROW] that came.

        The latency of every frame goes into ``ledger``.

        Raises:
            Refused: the utterance failed.
        """
        meter = LatencyMeter()

        async def say(block: NDArray[np.float32], end: int) -> None:
            meter.spoken(end / SAMPLE_RATE)
            await self._socket.send(block.astype("<f4").tobytes())

        listening = asyncio.create_task(self._listen(meter, ledger))
        try:
            await paced(clip, 1.0, say, BLOCK_S)
            await self._socket.send(json.dumps({"type": "end", "keep": True}))
            return await listening
        finally:
            listening.cancel()

    async def _listen(self, meter: LatencyMeter, ledger: Ledger) -> NDArray[np.float32]:
        rows = [np.zeros((0, ROW), np.float32)]
        while isinstance(message := await self._socket.recv(), bytes):
            block = np.frombuffer(message, "<f4").reshape(-1, ROW)
            for row in block:
                ledger.wait(meter.arrived(Frame(int(row[0]), float(row[1]), row[2:])), time.monotonic())
            rows.append(block)
        _check(message, "end")
        return np.concatenate(rows)

    async def _told(self, kind: str) -> None:
        _check(await self._socket.recv(), kind)


def _check(message: str | bytes, kind: str) -> None:
    said = json.loads(message)
    if said["type"] != kind:
        raise Refused(said.get("error", said["type"]))


def connection(port: int) -> websockets.connect:
    """Return a connection to be to the gateway at ``port`` of this machine."""
    return websockets.connect(f"ws://{HOST}:{port}/ws/stream", compression=None, max_size=None)


async def known(port: int, clip: NDArray[np.float32]) -> Known:
    """Return ``clip`` with the face that a quiet gateway gives it live.

    Raises:
        ServiceNotStarted: it gives none.
    """
    try:
        async with connection(port) as socket:
            line = Line(socket)
            await line.start()
            rows = await line.speak(clip, Ledger("", Clock(time.monotonic(), 1.0)))
    except Refused as error:
        raise ServiceNotStarted(f"the gateway refused a live stream: {error}") from error
    if len(rows) != frame_count(len(clip)):
        raise ServiceNotStarted(f"a live stream had {len(rows)} frames; accepted: {frame_count(len(clip))}")
    return Known(clip, rows[:, 2:], SAME)


async def converse(port: int, right: Known, ledger: Ledger, begin_s: float, stopping: asyncio.Event) -> None:
    """Speak the clip of ``right`` again and again, from ``begin_s`` seconds of the run on, until it is over."""
    if await stopped_within(stopping, begin_s):
        return
    while not _over(ledger, stopping):
        due = time.monotonic()
        begun = False
        try:
            async with connection(port) as socket:
                line = Line(socket)
                await line.start()
                for _ in range(UTTERANCES):
                    if _over(ledger, stopping):
                        return
                    due, begun = time.monotonic(), True
                    ledger.ask(due)
                    ledger.note(judge(right, await line.speak(right.clip, ledger)), due)
                    begun = False
        except Refused as error:
            judged = Judged(REFUSED, str(error))
        except (OSError, websockets.WebSocketException) as error:
            judged = Judged(CUT_OFF, type(error).__name__)
        else:
            continue
        if not begun:
            ledger.ask(due)
        ledger.note(judged, due)
        await stopped_within(stopping, PAUSE_S)


def judge(right: Known, rows: NDArray[np.float32]) -> Judged:
    """Return how an utterance's rows [frames, ROW] compare: each frame once, in order, and with the right face."""
    judged = right.judge(rows[:, 2:])
    if len(rows) == len(right.weights) and not np.array_equal(rows[:, 0], np.arange(len(rows))):
        return judged._replace(column=WRONG, why="frames out of order")
    return judged


def _over(ledger: Ledger, stopping: asyncio.Event) -> bool:
    return stopping.is_set() or ledger.clock.over
