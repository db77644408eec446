"""The moments at which requests are due, whatever became of those before: an open loop.

Time is cut into slots of ``60 / per_minute`` seconds, and a request is due at a moment of each, drawn at random: the
rate is the same everywhere, and requests of several kinds meet as they like.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator

from emotalk_perf.attacked.answers import CUT_OFF, Judged
from emotalk_perf.traffic.ledger import Ledger

Ask = Callable[[], Awaitable[Judged]]
"""Asks once, and judges the answer."""


def dues(per_minute: float, seconds: float, seed: str) -> Iterator[float]:
    """Yield the seconds at which requests are due, rising, up to ``seconds``."""
    choice = random.Random(seed)  # noqa: S311  # no secret
    slot = 60 / per_minute
    for number in range(round(seconds / slot)):
        yield (number + choice.random()) * slot


async def arrive(ask: Ask, ledger: Ledger, seed: int, stopping: asyncio.Event, timed: bool = True) -> None:
    """Ask when it is due until the clock of ``ledger`` is over or ``stopping`` is set; return with the last answer.

    Args:
        timed: False: how long it takes is the caller's own doing, and is not counted.
    """
    clock = ledger.clock
    asking: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        ledger.ask(due)
        try:
            judged = await ask()
        except (OSError, EOFError) as error:
            judged = Judged(CUT_OFF, type(error).__name__)
        ledger.note(judged, due, time.monotonic() - due if timed else None)

    for due_s in dues(ledger.per_minute or 0.0, clock.seconds, f"{ledger.name} {seed}"):
        if await stopped_within(stopping, due_s - clock.since):
            break
        task = asyncio.create_task(one(clock.began + due_s))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)


async def stopped_within(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait ``seconds``, or until ``stopping`` is set; return whether it is."""
    if seconds > 0 and not stopping.is_set():
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait([waiting], timeout=seconds)
        waiting.cancel()
    return stopping.is_set()
