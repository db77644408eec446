"""A server and a gateway, kept running for as long as they are attacked."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient, EmoTalkError
from emotalk_perf.attacked.answers import Known
from emotalk_perf.attacked.kept import Kept
from emotalk_perf.attacked.prober import ready_of
from emotalk_perf.attacked.processes import GATEWAY, SUPERVISOR
from emotalk_perf.attacked.watched import HOST, START_S, Watched
from emotalk_perf.errors import ServiceNotStarted


class Service(Watched):
    """An ``emotalk-server`` and an ``emotalk gateway`` on free ports, for as long as the block lasts.

    Args:
        repository: served; None: the bundled one.
        models: groups of models that are loaded, as ``--models`` has them; None: those by default.
        settings: of the gateway, by their names: ``{"MAX_STREAMS": 64}``.

    Raises (on entering):
        ServiceNotStarted: they do not serve in time.
    """

    def __init__(
        self, repository: Path | None, *, models: str | None = None, settings: Mapping[str, object] | None = None
    ) -> None:
        super().__init__()
        self.http, self.grpc, self.gateway, self.health, metrics = _free_ports(5)
        self.url = f"{HOST}:{self.grpc}"
        server = [sys.executable, "-m", "emotalk_server.cli", "--http-port", f"{self.http}"]
        server += ["--grpc-port", f"{self.grpc}", "--metrics-port", f"{metrics}", "--health-port", f"{self.health}"]
        server += ["--repository", str(repository)] if repository is not None else []
        server += ["--models", models] if models is not None else []
        gateway = [sys.executable, "-m", "emotalk_cli", "gateway", "--url", self.url, "--host", HOST]
        gateway += ["--port", f"{self.gateway}"]
        self._settings = {f"EMOTALK_GATEWAY_{name}": f"{value}" for name, value in (settings or {}).items()}
        self._commands = {SUPERVISOR: server, GATEWAY: gateway}
        self._stack = ExitStack()
        self.kept: dict[str, Kept] = {}

    def __enter__(self) -> Service:
        with ExitStack() as stack:
            environment = self.watch(stack) | self._settings
            for name, command in self._commands.items():
                self.kept[name] = stack.enter_context(Kept(command, environment, self.logs / f"{name}.log"))
            self.await_(ready_of(HOST, self.gateway), "the gateway was not ready")
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
                raise ServiceNotStarted(f"no face: {error}; {self.said()}") from error


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
