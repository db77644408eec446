"""One case after another against a service that others use meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.attacked import answers
from emotalk_perf.attacked.answers import Callers
from emotalk_perf.attacked.interrupts import interrupts
from emotalk_perf.attacked.kept import Kept
from emotalk_perf.attacked.prober import EVERY_S, PATIENCE_S, Answer, Prober, face_of
from emotalk_perf.attacked.processes import GATEWAY, TRITON, of_run
from emotalk_perf.attacked.service import Service
from emotalk_perf.attacked.usage import PeakMemory, cpu_s
from emotalk_perf.attacked.watched import HOST
from emotalk_perf.hostile import bargein, gateway, triton
from emotalk_perf.hostile import callers as grpc_callers
from emotalk_perf.hostile.case import Case, Target
from emotalk_perf.hostile.honest import Seen, Waits, light, since

CASES: tuple[Case, ...] = (*triton.CASES, *grpc_callers.CASES, *gateway.CASES, *bargein.CASES)
GIVE_UP_S = 60.0
"""Seconds after which a service counts as one that does not serve again."""
SETTLED = 5
"""Faces in a row, asked for after the case, after which it is over."""


class UnknownCase(ValueError):
    """A name of a case that is not one of them."""


@dataclass(frozen=True, slots=True)
class Result:
    """One case, and how it went."""

    case: Case
    answer: str
    seconds: float
    """That the hostile caller took."""
    triton_died: bool
    gateway_died: bool
    outage_s: float
    """The longest time without a face; infinite where none came again."""
    honest: tuple[Seen, ...]
    gateway_peak_bytes: int


@dataclass
class Outcome:
    """All that was seen."""

    results: list[Result] = field(default_factory=list)
    gateway_peak_bytes: int = 0
    cpu_s: dict[str, float] = field(default_factory=dict)
    tracebacks: list[str] = field(default_factory=list)
    """Of the service's logs: the last line of each."""
    left: list[str] = field(default_factory=list)


def chosen(names: Sequence[str]) -> list[Case]:
    """Return the cases of these names; all where there are none.

    Raises:
        UnknownCase: there is not such a case.
    """
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise UnknownCase(f"{name[:60]!r} is not a case; accepted: {', '.join(known)}")
    return [known[name] for name in names] or list(CASES)


def run(
    clip: NDArray[np.float32], cases: Sequence[Case], repository: Path | None, tell: Callable[[str], None]
) -> Outcome:
    """Start a server and a gateway, and try ``cases`` while honest callers animate a second of ``clip``.

    Raises:
        ServiceNotStarted: they do not serve in time.
    """
    outcome = Outcome()
    with interrupts(), Service(repository) as service, ExitStack() as stack:
        (known,) = service.known([clip[:SAMPLE_RATE]])
        target = Target(HOST, service.http, service.grpc, service.gateway, service.mark)
        memory = stack.enter_context(PeakMemory(lambda: service.kept[GATEWAY].pid))
        faces = stack.enter_context(Prober(face_of(HOST, service.http, known), EVERY_S))
        honest = [Waits("gRPC"), Waits("gateway, light"), Waits("gateway, upload")]
        asking = (
            answers.files(service.url, [known]),
            light(HOST, service.gateway),
            answers.uploads(HOST, service.gateway, [known]),
        )
        callers = Callers()
        stack.callback(callers.stop)
        for waits, ask in zip(honest, asking, strict=True):
            callers.add(waits, ask)
        attack = _Attack(target, service.kept[GATEWAY], memory, faces, honest)
        for case in cases:
            result = attack.try_(case)
            outcome.results.append(result)
            tell(f"{case.name}: {result.answer}; longest time without a face {result.outage_s:.2f} s")
        outcome.cpu_s = cpu_s(service.mark)
        outcome.gateway_peak_bytes = memory.bytes
    outcome.tracebacks = service.tracebacks
    outcome.left = service.left
    return outcome


class _Attack:
    """The service under attack."""

    def __init__(
        self, target: Target, gateway: Kept, memory: PeakMemory, faces: Prober, honest: Sequence[Waits]
    ) -> None:
        self._target = target
        self._gateway = gateway
        self._memory = memory
        self._faces = faces
        self._honest = honest

    def try_(self, case: Case) -> Result:
        """Send ``case``, and wait until faces are to be had again and every honest caller had an answer."""
        self._memory.renew()
        states = [waits.state() for waits in self._honest]
        tritons, starts = self._tritons(), self._gateway.starts
        began = time.monotonic()
        try:
            answer = case.send(self._target)
        except OSError as error:
            answer = f"{type(error).__name__}"
        over = time.monotonic()
        healed = self._await_faces(over)
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until and any(
            waits.state()[0] < state[0] + 2 for waits, state in zip(self._honest, states, strict=True)
        ):
            time.sleep(EVERY_S)
        return Result(
            case,
            answer,
            over - began,
            self._tritons() != tritons,
            self._gateway.starts != starts,
            longest_outage_s(self._faces.since(began)) if healed else float("inf"),
            tuple(since(waits, state) for waits, state in zip(self._honest, states, strict=True)),
            self._memory.renew(),
        )

    def _await_faces(self, over: float) -> bool:
        while time.monotonic() < over + GIVE_UP_S:
            time.sleep(EVERY_S)
            last = self._faces.since(over)[-SETTLED:]
            if len(last) == SETTLED and all(answer.well for answer in last):
                return True
        return False

    def _tritons(self) -> set[int]:
        return {one.pid for one in of_run(self._target.mark) if one.kind == TRITON}


def longest_outage_s(faces: Sequence[Answer]) -> float:
    """Return the longest time from a question that failed to the next right answer, 0 where none failed.

    One whose connection broke failed when it broke; one that had no answer in time failed when it was asked.
    """
    longest, failed = 0.0, None
    for answer in faces:
        if not answer.well:
            began = answer.asked if answer.answered - answer.asked >= PATIENCE_S else answer.answered
            failed = began if failed is None else min(failed, began)
        elif failed is not None:
            longest, failed = max(longest, answer.answered - failed), None
    return longest if failed is None else float("inf")
