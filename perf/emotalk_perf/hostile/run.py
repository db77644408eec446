"""One case after another against a service that others use meanwhile."""

from __future__ import annotations

import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient, EmoTalkError
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.chaos import answers, leftovers
from emotalk_perf.chaos.answers import Callers, Known
from emotalk_perf.chaos.kept import Kept
from emotalk_perf.chaos.prober import EVERY_S, PATIENCE_S, Answer, Prober, face_of, ready_of
from emotalk_perf.chaos.processes import GATEWAY, MARK, SUPERVISOR, TRITON, of_run
from emotalk_perf.errors import ServiceNotStarted
from emotalk_perf.hostile import callers as grpc_callers
from emotalk_perf.hostile import gateway, triton
from emotalk_perf.hostile.case import Case, Target
from emotalk_perf.hostile.honest import Seen, Waits, light, since
from emotalk_perf.hostile.watch import PeakMemory, cpu_s, in_use

HOST = "127.0.0.1"
CASES: tuple[Case, ...] = (*triton.CASES, *grpc_callers.CASES, *gateway.CASES)
START_S = 120.0
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
    mark = secrets.token_hex(8)
    outcome = Outcome()
    with (
        _interrupts(),
        tempfile.TemporaryDirectory(prefix="hostile-logs-") as logs,
        tempfile.TemporaryDirectory(prefix="hostile-temporary-") as temporary,
    ):
        own = Path(temporary)
        before = leftovers.files(own)
        _service(outcome, clip[:SAMPLE_RATE], cases, repository, tell, mark, own, Path(logs))
        outcome.tracebacks = tracebacks(Path(logs))
        outcome.left = [what for what in leftovers.left_behind(before, mark, own) if not in_use(what)]
    return outcome


def tracebacks(folder: Path) -> list[str]:
    """Return the last line of each traceback in the logs of ``folder``."""
    found = []
    for log in sorted(folder.glob("*.log")):
        open_ = False
        for line in log.read_text("utf-8", "replace").splitlines():
            if "Traceback (most recent call last)" in line:
                open_ = True
            elif open_ and line and not line[0].isspace():
                found.append(f"{log.stem}: {line[:200]}")
                open_ = False
    return found


@contextmanager
def _interrupts() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _service(
    outcome: Outcome, clip: NDArray[np.float32], cases: Sequence[Case], repository: Path | None,
    tell: Callable[[str], None], mark: str, own: Path, folder: Path,
) -> None:  # fmt: skip
    http, grpc, metrics, health, port = _free_ports(5)
    target = Target(HOST, http, grpc, port, mark)
    url = f"{HOST}:{grpc}"
    server = [sys.executable, "-m", "emotalk_server.cli", "--http-port", f"{http}", "--grpc-port", f"{grpc}"]
    server += ["--metrics-port", f"{metrics}", "--health-port", f"{health}"]
    server += ["--repository", str(repository)] if repository is not None else []
    facing = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", url, "--host", HOST, "--port", f"{port}"]
    with ExitStack() as stack:
        kept = {
            name: stack.enter_context(Kept(command, {MARK: mark, "TMPDIR": str(own)}, folder / f"{name}.log"))
            for name, command in ((SUPERVISOR, server), (GATEWAY, facing))
        }
        known = _known(url, clip)
        _await(ready_of(HOST, port))
        memory = stack.enter_context(PeakMemory(lambda: kept[GATEWAY].pid))
        faces = stack.enter_context(Prober(face_of(HOST, http, known), EVERY_S))
        honest = [Waits("gRPC"), Waits("gateway, light"), Waits("gateway, upload")]
        asking = (answers.files(url, [known]), light(HOST, port), answers.uploads(HOST, port, [known]))
        callers = Callers()
        stack.callback(callers.stop)
        for waits, ask in zip(honest, asking, strict=True):
            callers.add(waits, ask)
        attack = _Attack(target, kept[GATEWAY], memory, faces, honest)
        for case in cases:
            result = attack.try_(case)
            outcome.results.append(result)
            tell(f"{case.name}: {result.answer}; longest time without a face {result.outage_s:.2f} s")
        outcome.cpu_s = cpu_s(mark)
        outcome.gateway_peak_bytes = memory.bytes


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


def _known(url: str, clip: NDArray[np.float32]) -> Known:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with EmoTalkClient(url, timeout_s=30.0) as client:
                return Known.of(client, clip)
        except EmoTalkError as error:
            if time.monotonic() > deadline:
                raise ServiceNotStarted(f"no face within {START_S:g} s: {error}") from error
            time.sleep(0.2)


def _await(question: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if question():
                return
        except OSError:
            pass
        time.sleep(EVERY_S)
    raise ServiceNotStarted(f"the gateway was not ready within {START_S:g} s")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
