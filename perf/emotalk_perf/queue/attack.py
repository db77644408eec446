"""The attack: known clips and poison in the queue, workers that die every few seconds, and a Triton that dies too."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient
from emotalk_gateway.kafka.clients import QueueError
from emotalk_perf.attacked.interrupts import interrupts
from emotalk_perf.attacked.usage import PeakMemory
from emotalk_perf.queue import work
from emotalk_perf.queue.judge import Verdict, judge
from emotalk_perf.queue.stage import DEAD, FRAMES, Stage

POLL_S = 0.5
CALL_S = 300.0
"""Seconds of a clip on the quiet server."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The work, and the attack on it."""

    clips: int = 500
    shortest_s: float = 0.1
    longest_s: float = 60.0
    poisonous: int = 20
    large_bytes: int = 100 << 20
    """Of zeros, in one record."""
    keys: int = 8
    partitions: int = 8
    workers: int = 3
    kill_s: float = 5.0
    """Seconds between two deaths of a worker."""
    triton_kills: int = 2
    outage_s: float = 30.0
    """For which the broker stands still when half of the work is done; workers die on."""
    minutes: float = 30.0
    """In which everything must be answered."""
    seed: int = 0


@dataclass
class Outcome:
    """All that was seen of one attack."""

    plan: Plan
    transactions: bool
    verdict: Verdict = field(default_factory=Verdict)
    speech_s: float = 0.0
    seconds: float = 0.0
    """From the first request to the last commit."""
    worker_kills: int = 0
    triton_kills: int = 0
    outages: int = 0
    """Of the broker."""
    peak_bytes: int = 0
    """Resident, of the largest worker at any moment."""
    committed: tuple[int, int] = (0, 0)
    """Requests that the group has done with, of all."""
    slow_stops: int = 0
    """Workers that did not end in time when they were asked to."""
    left: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)


def run(
    speech: NDArray[np.float32],
    plan: Plan,
    *,
    transactions: bool,
    repository: Path | None,
    tell: Callable[[str], None],
) -> Outcome:
    """Carry ``plan`` out on ``speech`` [samples, 16 kHz].

    Args:
        transactions: answers and offsets are committed together, so that nothing may come twice.
        tell: called with a line for each event.

    Raises:
        ServiceNotStarted: the broker, the server or a worker does not start.
    """
    choice = random.Random(plan.seed)  # noqa: S311  # no secret
    outcome = Outcome(plan, transactions)
    with interrupts(), Stage(plan.partitions, ["--transactions"] if transactions else [], repository) as stage:
        with EmoTalkClient(stage.url, timeout_s=CALL_S) as client:
            seconds = work.lengths(plan.clips, plan.shortest_s, plan.longest_s, choice)
            sent = list(work.requests(client, speech, seconds, plan.poisonous, plan.keys, plan.large_bytes, choice))
        outcome.speech_s = sum(one.seconds for one in sent)
        tell(f"{len(sent)} requests, {outcome.speech_s:.0f} s of speech; the quiet server has said what is right")
        stage.start_workers(plan.workers)
        began = time.monotonic()
        peaks = [PeakMemory(lambda worker=worker: worker.pid) for worker in stage.workers]  # type: ignore[misc]
        for peak in peaks:
            peak.__enter__()
        stage.enqueue(sent)
        _attack(stage, plan, outcome, choice, tell)
        outcome.seconds = time.monotonic() - began
        for peak in peaks:
            peak.__exit__(None, None, None)
        outcome.peak_bytes = max(peak.bytes for peak in peaks)
        outcome.slow_stops = stage.stop_workers().count(False)
        outcome.verdict = judge(sent, stage.records(FRAMES), stage.records(DEAD), exactly_once=transactions)
    outcome.left = stage.left
    outcome.tracebacks = stage.tracebacks
    return outcome


def _attack(stage: Stage, plan: Plan, outcome: Outcome, choice: random.Random, tell: Callable[[str], None]) -> None:
    """Kill until every request is done with, or the time is over."""
    over = threading.Event()
    killer = threading.Thread(target=_kill_workers, args=(stage, plan, outcome, choice, over), daemon=True)
    killer.start()
    deadline = time.monotonic() + plan.minutes * 60
    try:
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            try:
                done, of = stage.committed()
            except QueueError as error:  # the broker is busy: the next look will tell
                tell(f"{error}")
                continue
            if done != outcome.committed[0]:
                tell(f"{done} of {of} requests done with, {outcome.worker_kills} workers killed")
            outcome.committed = done, of
            if done == of:
                return
            if plan.outage_s and not outcome.outages and 2 * done >= of:
                _outage(stage, plan.outage_s, tell)
                outcome.outages = 1
            due = sum(done >= of * (number + 1) / (plan.triton_kills + 1) for number in range(plan.triton_kills))
            if due > outcome.triton_kills and stage.kill_triton():
                outcome.triton_kills += 1
                tell("Triton killed")
    finally:
        over.set()
        killer.join()


def _outage(stage: Stage, seconds: float, tell: Callable[[str], None]) -> None:
    tell(f"the broker stands still for {seconds:g} s")
    stage.broker.freeze()
    try:
        time.sleep(seconds)
    finally:
        stage.broker.thaw()


def _kill_workers(stage: Stage, plan: Plan, outcome: Outcome, choice: random.Random, over: threading.Event) -> None:
    while not over.wait(plan.kill_s):
        outcome.worker_kills += stage.kill_worker(choice.randrange(plan.workers))
