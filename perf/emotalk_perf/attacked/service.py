"""A server and a gateway, kept running for as long as they are attacked."""

from __future__ import annotations

import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient, EmoTalkError
from emotalk_perf.attacked.answers import Known
from emotalk_perf.attacked.kept import Kept
from emotalk_perf.attacked.leftovers import files, left_behind
from emotalk_perf.attacked.prober import ready_of
from emotalk_perf.attacked.processes import GATEWAY, MARK, SUPERVISOR
from emotalk_perf.errors import ServiceNotStarted

HOST = "127.0.0.1"
START_S = 120.0
POLL_S = 0.1


class Service:
    """An ``emotalk-server`` and an ``emotalk gateway`` on free ports, for as long as the block lasts.

    Their temporary files are in a folder of their own, and every process carries :attr:`mark` in its environment.

    Args:
        repository: served; None: the bundled one.

    Raises (on entering):
        ServiceNotStarted: they do not serve in time.
    """

    def __init__(self, repository: Path | None) -> None:
        self.mark = secrets.token_hex(8)
        self.http, self.grpc, self.gateway, self.health, metrics = _free_ports(5)
        self.url = f"{HOST}:{self.grpc}"
        server = [sys.executable, "-m", "emotalk_server.cli", "--http-port", f"{self.http}"]
        server += ["--grpc-port", f"{self.grpc}", "--metrics-port", f"{metrics}", "--health-port", f"{self.health}"]
        server += ["--repository", str(repository)] if repository is not None else []
        gateway = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", self.url, "--host", HOST]
        gateway += ["--port", f"{self.gateway}"]
        self._commands = {SUPERVISOR: server, GATEWAY: gateway}
        self._stack = ExitStack()
        self.kept: dict[str, Kept] = {}
        self.left: list[str] = []
        """Remains of the run, once the block is over."""
        self.tracebacks: list[str] = []
        """Last line of each traceback that they printed, likewise."""

    def __enter__(self) -> Service:
        with ExitStack() as stack:
            self.logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attacked-logs-")))
            own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attacked-temporary-")))
            before = files(own)
            stack.callback(self._look_back, before, own)
            environment = {MARK: self.mark, "TMPDIR": str(own)}
            for name, command in self._commands.items():
                self.kept[name] = stack.enter_context(Kept(command, environment, self.logs / f"{name}.log"))
            self._await(ready_of(HOST, self.gateway), "the gateway was not ready")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def known(self, clips: Sequence[NDArray[np.float32]]) -> list[Known]:
        """Return ``clips`` with the answers of the quiet server."""
        with EmoTalkClient(self.url, timeout_s=START_S) as client:
            try:
                return [Known.of(client, clip) for clip in clips]
            except EmoTalkError as error:
                raise ServiceNotStarted(f"no face: {error}; {self._said()}") from error

    def _look_back(self, before: set[Path], own: Path) -> None:
        self.left = left_behind(before, self.mark, own)
        self.tracebacks = [line for log in sorted(self.logs.glob("*.log")) for line in tracebacks(log)]

    def _await(self, question: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if question():
                    return
            except OSError:
                pass
            time.sleep(POLL_S)
        raise ServiceNotStarted(f"{what} within {START_S:g} s; {self._said()}")

    def _said(self) -> str:
        """Return the last lines of what the commands printed."""
        logs = sorted(self.logs.glob("*.log"))
        ends = {log.stem: log.read_text("utf-8", "replace").splitlines()[-3:] for log in logs}
        return " | ".join(f"{name}: {line}" for name, lines in ends.items() for line in lines) or "nothing was printed"


def tracebacks(log: Path) -> list[str]:
    """Return the last line of each traceback in ``log``."""
    found, inside = [], False
    for line in log.read_text("utf-8", "replace").splitlines():
        if "Traceback (most recent call last)" in line:
            inside = True
        elif inside and line and not line[0].isspace():
            found.append(f"{log.stem}: {line[:200]}")
            inside = False
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
