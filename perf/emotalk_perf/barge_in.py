"""Barge-in on a connection that is kept: how soon the face is at rest, and how soon the next utterance has one.

Somebody speaks in real time, and is cut off after :data:`SPOKEN_S`. Counted from the ``cancel``: until its answer is
there, with all faces on the way to rest; and until the first face of what is said right after it, on the same
connection. The way to rest takes :data:`FADE_S` to show.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import websockets
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient
from emotalk_client.errors import UnexpectedResponse
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.report import table
from emotalk_perf.socket_door import gateway
from emotalk_perf.streams import paced

SPOKEN_S = 1.2
"""Seconds of an utterance before it is cut off."""
FADE_S = 0.3
WARM = 2
"""Cuts that nobody measures."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Measurements of one barge-in, in seconds from the ``cancel`` on."""

    answered_s: float
    """To the answer, with the way to rest."""
    next_s: float
    """To the first face of the next utterance, whose first sample was spoken at once."""


async def over_client(url: str, clip: NDArray[np.float32], cuts: int) -> list[Cut]:
    """Cut off ``cuts`` utterances of ``clip`` [samples, 16 kHz] in one session of the thin client."""
    found = []
    async with AsyncEmoTalkClient(url) as client, client.live(sample_rate=SAMPLE_RATE) as session:

        async def listen() -> float:
            await session.begun()
            if not await session.receive():
                raise UnexpectedResponse("an utterance ended without a face")
            return time.monotonic()

        for number in range(WARM + cuts):
            await _spoken(clip, number, listen, lambda block, _: session.feed(block))
            began = time.monotonic()
            await session.cancel(fade_s=FADE_S)
            answered = time.monotonic()
            first = await _spoken(clip, number + 1, listen, lambda block, _: session.feed(block))
            await session.cancel()
            found.append(Cut(answered - began, first - answered))
    return found[WARM:]


async def over_gateway(url: str, clip: NDArray[np.float32], cuts: int) -> list[Cut]:
    """Cut off ``cuts`` utterances of ``clip`` on one WebSocket of a gateway to the Triton at ``url``."""
    found = []
    with gateway(url) as (port, _):
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws/stream", compression=None, max_size=None) as socket:
            start = {"type": "start", "sample_rate": SAMPLE_RATE, "format": "float32", "frames": "float32"}
            await socket.send(json.dumps(start))
            await _said(socket, "started")

            async def listen() -> float:
                if isinstance(message := await socket.recv(), str):
                    raise UnexpectedResponse(f"the gateway said {message}")
                return time.monotonic()

            async def say(block: NDArray[np.float32], _: int) -> None:
                await socket.send(block.astype("<f4").tobytes())

            for number in range(WARM + cuts):
                await _spoken(clip, number, listen, say)
                began = time.monotonic()
                await socket.send(json.dumps({"type": "cancel", "fade_s": FADE_S}))
                await _said(socket, "cancelled")
                answered = time.monotonic()
                first = await _spoken(clip, number + 1, listen, say)
                await socket.send(json.dumps({"type": "cancel"}))
                await _said(socket, "cancelled")
                found.append(Cut(answered - began, first - answered))
    return found[WARM:]


def run(url: str, clip: NDArray[np.float32], cuts: int) -> Mapping[str, Sequence[Cut]]:
    """Measure both doors of the Triton at ``url``."""
    return {
        "thin client": asyncio.run(over_client(url, clip, cuts)),
        "WebSocket": asyncio.run(over_gateway(url, clip, cuts)),
    }


def markdown(measured: Mapping[str, Sequence[Cut]]) -> str:
    """Return the table."""
    head = ("", "cuts", "answered: median", "largest", "next face: median", "largest")
    rows = []
    for name, cuts in measured.items():
        answered, first = ([1000 * getattr(cut, field) for cut in cuts] for field in ("answered_s", "next_s"))
        rows.append(
            (
                name,
                str(len(cuts)),
                f"{np.median(answered):.1f} ms",
                f"{max(answered):.1f} ms",
                f"{np.median(first):.0f} ms",
                f"{max(first):.0f} ms",
            )
        )
    return table(head, rows)


async def _spoken(
    clip: NDArray[np.float32],
    number: int,
    listen: Callable[[], Awaitable[float]],
    say: Callable[[NDArray[np.float32], int], Awaitable[None]],
) -> float:
    """Speak :data:`SPOKEN_S` of ``clip`` in real time; return the moment of the first face."""
    size = round(SPOKEN_S * SAMPLE_RATE)
    speech = np.roll(clip, -number * size)[:size]
    listening = asyncio.ensure_future(listen())
    try:
        await paced(speech, 1.0, say)
        return await listening
    finally:
        listening.cancel()


async def _said(socket: websockets.ClientConnection, kind: str) -> None:
    """Wait for a message of ``kind``; frames before it are left out."""
    while True:
        message = await socket.recv()
        if isinstance(message, str):
            if json.loads(message)["type"] != kind:
                raise UnexpectedResponse(f"the gateway said {message}")
            return
