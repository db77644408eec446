"""A server for as long as a ``with`` block lasts."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from emotalk_contract import repository as repositories
from emotalk_contract.configs import Profile
from emotalk_server.errors import CorruptRepository, PortInUse, ServerStartError, StartCancelled
from emotalk_server.folder import ServerFolder
from emotalk_server.groups import DEFAULT_GROUPS, Group
from emotalk_server.installation import find_triton
from emotalk_server.plans import prepare
from emotalk_server.ports import LOOPBACK, Ports, check_ports, free_ports, reachable
from emotalk_server.process import ServerSettings, TritonProcess, check_repository
from emotalk_server.renderers import check_renderers
from emotalk_server.supervisor import Supervisor

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""A free port may be taken between finding and using it."""
FREED_WITHIN_S, FREED_POLL_S = 3.0, 0.05
"""A Triton that was killed a moment ago may still hold its ports, for it gives its memory back first."""


class EmbeddedServer:
    """A Triton with the ensemble, on free ports of the loopback by default, which is started again when it dies.

    ::

        with EmbeddedServer() as server:
            EmoTalkClient(server.grpc_url).animate("speech.wav")

    Args:
        repository: a model repository; None: the bundled one.
        cache_bytes: memory in which Triton keeps what the encoders gave, so that the same speech at another level or
            in another style runs the decoder only; 0: none.
        groups: of models to serve: ``core`` (the ensemble), ``live`` (steps of live streams), ``speech`` (text in).
        voices: more voices for ``speech``: ``NAME=ENGINE:WHERE``, separated by ``;``.
        supervised: a thread watches all its processes, and starts Triton again when one of them dies or hangs.
        renderers: a folder of neural renderers to serve beside them (``emotalk-export renderer``); None: none.
        trace_url: where Triton sends its spans (``http://host:4318/v1/traces``); None: nowhere.
        plans: for the profile ``tensorrt``, a folder that outlives servers: plans that the repository lacks are built
            into it for this machine's GPU, and found there the next time. None: the repository has them.

    Raises (on entering):
        ServerStartError: the subclass says what keeps it from starting.
    """

    def __init__(
        self,
        repository: str | Path | None = None,
        *,
        ports: Ports | None = None,
        address: str = LOOPBACK,
        profile: Profile = "cpu",
        start_timeout_s: float = 600.0,
        cache_bytes: int = 0,
        groups: Sequence[Group] = DEFAULT_GROUPS,
        voices: str = "",
        supervised: bool = True,
        renderers: str | Path | None = None,
        trace_url: str | None = None,
        plans: str | Path | None = None,
    ) -> None:
        self._repository = Path(repository).resolve() if repository is not None else repositories.bundled()
        self._ports = ports
        self._address = address
        self._profile = profile
        self._start_timeout_s = start_timeout_s
        self._cache_bytes = cache_bytes
        self._groups = tuple(groups)
        self._voices = voices
        self._renderers = Path(renderers).resolve() if renderers is not None else None
        self._trace_url = trace_url
        self._plans = Path(plans).resolve() if plans is not None and profile == "tensorrt" else None
        self._served = self._repository
        """The repository as Triton sees it: with plans where they are not the repository's own."""
        self._supervised = supervised
        self._lock = threading.RLock()
        """Held by whoever starts or stops Triton."""
        self._cancelled = threading.Event()
        self._owner = os.getpid()
        self._folder: ServerFolder | None = None
        self._process: TritonProcess | None = None
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> EmbeddedServer:
        """Start and wait until it serves; does nothing while it runs."""
        with self._lock:
            if self._process is None:
                self._owner = os.getpid()
                self._cancelled.clear()
                try:
                    self._start()
                except BaseException:
                    self.stop()
                    raise
                atexit.register(self.stop)
        return self

    def _start(self) -> None:
        find_triton()
        check_repository(self._repository, self._profile, with_plans=self._plans is None)
        check_renderers(self._renderers)
        if self._ports is not None:
            _await_ports(self._ports, self._address)
        self._folder = ServerFolder.create()
        self._prepare_plans(self._folder)
        for attempt in range(ATTEMPTS):
            ports = self._ports or free_ports(self._address)
            settings = ServerSettings(
                self._served,
                ports,
                self._address,
                self._profile,
                self._start_timeout_s,
                self._cache_bytes,
                self._groups,
                self._voices,
                self._renderers,
                self._trace_url,
            )
            try:
                check_ports(ports, self._address)
                self._process = TritonProcess.start(settings, self._folder, self._cancelled)
                break
            except PortInUse:
                if self._ports is not None or attempt == ATTEMPTS - 1:
                    raise
        if self._supervised:
            self._supervisor = Supervisor(self)
            self._supervisor.start()

    def _prepare_plans(self, folder: ServerFolder) -> None:
        """Let Triton see the repository with the plans of :attr:`_plans`, where there is such a folder."""
        if self._plans is not None:
            self._served = prepare(self._repository, self._plans, folder.for_plans(), self._cancelled)
            check_repository(self._served, self._profile)

    def stop(self) -> None:
        """Stop it; does nothing the second time, or in a forked child."""
        if os.getpid() != self._owner:
            return
        self._cancelled.set()
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.stop()
        with self._lock:
            atexit.unregister(self.stop)
            if self._process is not None:
                self._process.stop()
                self._process = None
            if self._folder is not None:
                self._folder.remove()
                self._folder = None

    def restart(self) -> None:
        """Kill what is left of :attr:`process`, and start anew on the same ports.

        Raises:
            ServerStartError: it did not start; another call may succeed.
        """
        with self._lock:
            process, folder = self.process, self._folder
            if self._cancelled.is_set() or folder is None:
                raise StartCancelled("the server was stopped")
            process.kill()
            folder.watch_over()
            try:
                check_repository(self._served, self._profile)
            except CorruptRepository:
                if self._plans is None:
                    raise
                self._prepare_plans(folder)  # builds again what was damaged
            check_renderers(self._renderers)
            _await_ports(process.settings.ports, self._address)
            self._process = TritonProcess.start(process.settings, folder, self._cancelled, proven=True)

    def watch_over(self) -> int | None:
        """See to it that a janitor lives, and return its process id."""
        folder = self._folder
        if folder is None:
            return None
        with contextlib.suppress(OSError):
            folder.watch_over()
        return folder.janitor_pid

    @property
    def supervisor(self) -> Supervisor | None:
        """The thread that keeps it serving, if it has one and is started."""
        return self._supervisor

    @property
    def process(self) -> TritonProcess:
        """The running Triton.

        Raises:
            ServerStartError: it has not been started.
        """
        process = self._process
        if process is None:
            raise ServerStartError("the server is not running; use it as a context manager")
        return process

    @property
    def grpc_url(self) -> str:
        """``host:port``, as Triton's gRPC clients want it."""
        return self._url(self.process.settings.ports.grpc)

    @property
    def http_url(self) -> str:
        """``host:port``, as Triton's HTTP clients want it."""
        return self._url(self.process.settings.ports.http)

    @property
    def metrics_url(self) -> str:
        """``host:port`` of ``/metrics``."""
        return self._url(self.process.settings.ports.metrics)

    def _url(self, port: int) -> str:
        return f"{reachable(self._address)}:{port}"


def _await_ports(ports: Ports, address: str) -> None:
    """Raise as :func:`check_ports` does, but give a dying Triton the time to let go of them."""
    deadline = time.monotonic() + FREED_WITHIN_S
    while True:
        try:
            check_ports(ports, address)
        except PortInUse:
            if time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(FREED_POLL_S)
