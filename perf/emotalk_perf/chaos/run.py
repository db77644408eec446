"""The plan of kills: each kind of process in turn, all Python models at once, Triton stopped, and then at random."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.attacked import answers
from emotalk_perf.attacked.answers import Callers, Known, Tally
from emotalk_perf.attacked.interrupts import interrupts
from emotalk_perf.attacked.prober import EVERY_S, READY_EVERY_S, Prober, face_of, ready_of
from emotalk_perf.attacked.processes import GATEWAY, STUB, SUPERVISOR, TRITON, Process, of_run
from emotalk_perf.attacked.service import Service
from emotalk_perf.attacked.watched import HOST
from emotalk_perf.chaos.outages import healed_at, late_s, lie_s

GIVE_UP_S = 120.0
"""Seconds after which an outage counts as one that does not heal."""
ALL_STUBS, AT_RANDOM = "all stubs at once", "at random, 1 to 3"
STOPPED_STUB, STOPPED_TRITON = "a stub, stopped", "triton, stopped"
PROBED_S = 0.5
"""Seconds of speech of the clip by which healing is seen."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Attacks on the service."""

    kills: int = 3
    """Of each kind of process."""
    minutes: float = 2.0
    """Of kills at random, after those."""
    seed: int = 0
    files: int = 4
    """Callers of the thin client."""
    uploads: int = 2
    """Callers of the gateway."""
    calm_s: float = 1.0
    """Seconds of peace between an outage that is healed and the next kill."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill, and how it went."""

    kind: str
    victims: tuple[str, ...]
    healed_s: float
    """Seconds to the first right answer after the last that failed; infinite where none came."""
    down: bool
    """True where any answer failed meanwhile."""
    ready_lied_s: float
    """Seconds for which the gateway's ``/health/ready`` went on saying yes."""
    server_lied_s: float = 0.0
    """Likewise, of the server's own."""
    ready_late_s: float = 0.0
    """Seconds for which the gateway's said no although faces were to be had again; infinite where it never said yes."""


@dataclass
class Outcome:
    """All that was seen."""

    plan: Plan
    kills: list[Kill] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    slow_stops: list[str] = field(default_factory=list)
    """Commands that did not stop when they were asked to."""
    ready_when_calm: tuple[int, int] = (0, 0)
    """Answers 200 of ``/health/ready`` in peace, of all."""
    seconds: float = 0.0


def run(clip: NDArray[np.float32], plan: Plan, repository: Path | None, tell: Callable[[str], None]) -> Outcome:
    """Start a server and a gateway, load them with ``clip`` [samples, 16 kHz], and carry ``plan`` out.

    Args:
        tell: called with a line for each kill.

    Raises:
        ServiceNotStarted: they do not serve in time.
    """
    outcome = Outcome(plan)
    began = time.monotonic()
    with interrupts(), Service(repository) as service, ExitStack() as stack:
        second = clip[SAMPLE_RATE : SAMPLE_RATE + round(PROBED_S * SAMPLE_RATE)]
        probed, *known = service.known([second, *(clip[: len(clip) // part] for part in (4, 2, 1))])
        faces = stack.enter_context(Prober(face_of(HOST, service.http, probed), EVERY_S))
        ready = stack.enter_context(Prober(ready_of(HOST, service.gateway), READY_EVERY_S))
        own = stack.enter_context(Prober(ready_of(HOST, service.health), READY_EVERY_S))
        callers = Callers()
        stack.callback(callers.stop)
        _load(callers, plan, service, known)
        outcome.tallies = callers.tallies
        time.sleep(2 * plan.calm_s)
        calm = ready.since(0.0)
        outcome.ready_when_calm = (sum(answer.well for answer in calm), len(calm))
        attack = _Attack(service.mark, faces, ready, own, outcome, tell)
        choice = random.Random(plan.seed)  # noqa: S311  # no secret
        attack.each_kind(plan.kills, choice)
        attack.at_random(choice, plan.minutes * 60)
    outcome.slow_stops = [name for name, one in service.kept.items() if not one.stopped_in_time]
    outcome.left = service.left
    outcome.seconds = time.monotonic() - began
    return outcome


class _Attack:
    """The service under attack."""

    def __init__(
        self,
        mark: str,
        faces: Prober,
        ready: Prober,
        own: Prober,
        outcome: Outcome,
        tell: Callable[[str], None],
    ) -> None:
        self._mark = mark
        self._faces = faces
        self._ready = ready
        self._own = own
        self._outcome = outcome
        self._tell = tell
        self._calm_s = outcome.plan.calm_s

    def each_kind(self, kills: int, choice: random.Random) -> None:
        """Kill each kind of process ``kills`` times, one by one, then all stubs; stop one of them, and Triton."""
        kinds = sorted({one.kind for one in of_run(self._mark)} - {SUPERVISOR, GATEWAY})
        for kind in [*kinds, GATEWAY, SUPERVISOR]:
            for _ in range(kills):
                self.strike(kind, lambda kind=kind: [one for one in of_run(self._mark) if one.kind == kind][:1])  # type: ignore[misc]
        for _ in range(kills):
            self.strike(ALL_STUBS, self._stubs)
        if kills:
            self.strike(STOPPED_STUB, lambda: [choice.choice(self._stubs())], signal.SIGSTOP)
            self.strike(
                STOPPED_TRITON, lambda: [one for one in of_run(self._mark) if one.kind == TRITON], signal.SIGSTOP
            )

    def _stubs(self) -> list[Process]:
        stubs = [one for one in of_run(self._mark) if one.kind.startswith(STUB)]
        return sorted(stubs, key=lambda one: one.kind)

    def at_random(self, choice: random.Random, seconds: float) -> None:
        """Kill one to three processes of any kind, again and again, for ``seconds``."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:

            def victims() -> list[Process]:
                there = sorted(of_run(self._mark), key=lambda one: one.pid)
                return choice.sample(there, min(len(there), choice.randint(1, 3)))

            self.strike(AT_RANDOM, victims)
            time.sleep(choice.uniform(0, self._calm_s))

    def strike(
        self, kind: str, choose: Callable[[], Sequence[Process]], number: signal.Signals = signal.SIGKILL
    ) -> None:
        """Kill whom ``choose`` names, and wait until faces are to be had again."""
        victims = list(choose())
        killed = time.monotonic()
        struck = tuple(victim.kind for victim in victims if victim.send(number))
        healed: float | None = None
        while healed is None and time.monotonic() < killed + GIVE_UP_S:
            time.sleep(EVERY_S)
            # A gateway that was killed serves again when it says that it is ready; its callers see the same.
            seen = [self._faces.since(killed)]
            if GATEWAY in struck:
                seen.append(self._ready.since(killed))
            moments = [healed_at(one) for one in seen]
            healed = max(moments) if None not in moments else None  # type: ignore[type-var]
        faces = self._faces.since(killed)
        end = healed if healed is not None else time.monotonic()
        if healed is not None:
            self._tell(f"{kind} ({', '.join(struck)}): healed after {healed - killed:.2f} s")
        else:
            self._tell(f"{kind} ({', '.join(struck)}): not healed within {GIVE_UP_S:g} s")
        self._await_all()
        kill = Kill(
            kind,
            struck,
            healed - killed if healed is not None else float("inf"),
            any(not answer.well for answer in faces if answer.asked <= end),
            lie_s(self._ready.since(killed), faces, killed, end),
            lie_s(self._own.since(killed), faces, killed, end),
            late_s(self._ready.since(killed), end),
        )
        self._outcome.kills.append(kill)
        time.sleep(self._calm_s)

    def _await_all(self) -> None:
        """Wait until a supervisor, a Triton and a gateway are there: the next kill needs somebody to strike."""
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            if {SUPERVISOR, TRITON, GATEWAY} <= {one.kind for one in of_run(self._mark)} and self._ready_now():
                return
            time.sleep(EVERY_S)

    def _ready_now(self) -> bool:
        last = self._ready.since(time.monotonic() - 1.0)
        return bool(last) and last[-1].well


def _load(callers: Callers, plan: Plan, service: Service, known: Sequence[Known]) -> None:
    tally = Tally(f"files, {plan.files} callers")
    for number in range(plan.files):
        callers.add(tally, answers.files(service.url, [*known[number % 3 :], *known[: number % 3]]))
    callers.add(Tally("a live stream"), answers.live(service.url, known[-1]))
    tally = Tally(f"uploads, {plan.uploads} callers")
    for _ in range(plan.uploads):
        callers.add(tally, answers.uploads(HOST, service.gateway, known))
