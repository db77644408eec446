"""Throughput of a queue against ``animate`` of the same files in one process, in turn, in one run.

Both are timed without their start: the worker waits for requests, the client is connected. A round of the queue lasts
from the first request to the last commit.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient
from emotalk_perf.attacked.interrupts import interrupts
from emotalk_perf.errors import ServiceNotStarted
from emotalk_perf.queue import work
from emotalk_perf.queue.attack import CALL_S
from emotalk_perf.queue.stage import Stage
from emotalk_perf.report import table

POLL_S = 0.02
LIMIT_S = 1800.0
"""Of one round."""
LEAST = 0.95
"""Of ``animate``'s speech a second."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Seconds of each round."""

    clips: int
    speech_s: float
    animate_s: tuple[float, ...]
    queue_s: tuple[float, ...]
    transactions: bool

    @property
    def ratio(self) -> float:
        """Median over the rounds of the queue's speech a second by ``animate``'s."""
        return median(alone / queued for alone, queued in zip(self.animate_s, self.queue_s, strict=True))


def run(
    speech: NDArray[np.float32],
    *,
    clips: int,
    seconds: tuple[float, float],
    rounds: int,
    transactions: bool,
    repository: Path | None,
    seed: int,
    tell: Callable[[str], None],
) -> Throughput:
    """Animate ``clips`` clips of ``seconds`` (from, to) both ways, ``rounds`` times.

    Raises:
        ServiceNotStarted: the broker, the server or the worker does not start, or is not done in half an hour.
    """
    choice = random.Random(seed)  # noqa: S311  # no secret
    lengths = work.lengths(clips, *seconds, choice)
    values = [work.sound(speech, one, from_s=number) for number, one in enumerate(lengths)]
    sent = [work.Request(f"{number}", f"key-{number % 8}", value) for number, value in enumerate(values)]
    alone, queued = [], []
    options = ["--transactions"] if transactions else []
    with interrupts(), Stage(8, options, repository) as stage, EmoTalkClient(stage.url, timeout_s=CALL_S) as client:
        stage.start_workers(1)
        for one in range(-1, rounds):  # the first round warms both up
            began = time.perf_counter()
            for value in values:
                client.animate(io.BytesIO(value))
            alone.append(time.perf_counter() - began)
            began = time.perf_counter()
            stage.enqueue(sent)
            _await(stage)
            queued.append(time.perf_counter() - began)
            if one >= 0:
                tell(f"round {one + 1} of {rounds}: animate {alone[-1]:.1f} s, queue {queued[-1]:.1f} s")
    return Throughput(clips, sum(lengths), tuple(alone[1:]), tuple(queued[1:]), transactions)


def _await(stage: Stage) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        done, of = stage.committed()
        if done == of:
            return
        time.sleep(POLL_S)
    raise ServiceNotStarted(f"{done} of {of} requests were done with in {LIMIT_S:g} s; {stage.said()}")


def markdown(measured: list[Throughput]) -> str:
    """Return a table with a row a way."""
    rows = []
    for one in measured:
        name = "with `--transactions`" if one.transactions else "without"
        speeds = [one.speech_s / median(times) for times in (one.animate_s, one.queue_s)]
        rows.append([name, *(f"{speed:.1f}" for speed in speeds), f"{100 * one.ratio:.0f} %"])
    first = measured[0]
    return "\n\n".join(
        [
            f"{first.clips} clips, {first.speech_s:.0f} s of speech, one worker, {len(first.queue_s)} rounds in turn.",
            table(["", "`animate`: seconds of speech a second", "queue", "queue of `animate`"], rows),
        ]
    )


def broken(measured: list[Throughput]) -> list[str]:
    """Return the limits that were broken; with transactions there is none, for a lane is a partition."""
    return [
        f"the queue has {100 * one.ratio:.1f} % of animate's throughput; accepted: {100 * LEAST:g} %"
        for one in measured
        if one.ratio < LEAST and not one.transactions
    ]
