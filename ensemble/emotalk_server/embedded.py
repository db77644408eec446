"""A server for as long as a ``with`` block lasts."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from emotalk_contract import repository as repositories
from emotalk_contract.configs import Profile
from emotalk_server.errors import PortInUse, ServerStartError
from emotalk_server.ports import LOOPBACK, Ports, free_ports
from emotalk_server.process import ServerSettings, TritonProcess

ATTEMPTS = 3
"""A free port may be taken between finding and using it."""


class EmbeddedServer:
    """A Triton with the ensemble, on free ports of the loopback by default.

    ::

        with EmbeddedServer() as server:
            EmoTalkClient(server.grpc_url).animate("speech.wav")

    Args:
        repository: a model repository; None: the bundled one.
        cache_bytes: memory in which Triton keeps what the encoders gave, so that the same speech at another level or
            in another style runs the decoder only; 0: none.

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
    ) -> None:
        self._repository = Path(repository).resolve() if repository is not None else repositories.bundled()
        self._ports = ports
        self._address = address
        self._profile = profile
        self._start_timeout_s = start_timeout_s
        self._cache_bytes = cache_bytes
        self._process: TritonProcess | None = None

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> EmbeddedServer:
        """Start and wait until it serves."""
        for attempt in range(ATTEMPTS):
            ports = self._ports or free_ports(self._address)
            settings = ServerSettings(
                self._repository, ports, self._address, self._profile, self._start_timeout_s, self._cache_bytes
            )
            try:
                self._process = TritonProcess.start(settings)
            except PortInUse:
                if self._ports is not None or attempt == ATTEMPTS - 1:
                    raise
            else:
                return self
        raise AssertionError("unreachable: the last attempt raises")

    def stop(self) -> None:
        """Stop it; does nothing the second time."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def restart(self) -> None:
        """Start anew on the same ports, after :attr:`process` died."""
        settings = self.process.settings
        self.stop()
        self._process = TritonProcess.start(settings)

    @property
    def process(self) -> TritonProcess:
        """The running Triton.

        Raises:
            ServerStartError: it has not been started.
        """
        if self._process is None:
            raise ServerStartError("the server is not running; use it as a context manager")
        return self._process

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
        host = self.process.http_url.removeprefix("http://").rsplit(":", 1)[0]
        return f"{host}:{port}"
