"""One Triton process: start it, know when it serves, stop it.

Rule that this module guards: **nothing stays behind.** The process group ends with its owner, whatever happens, and so
does its shared memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emotalk_contract import tensors
from emotalk_contract.configs import PROFILE_PATHS, Profile
from emotalk_contract.launch import SERVER_FOLDER
from emotalk_contract.repository import VERSION
from emotalk_server.errors import (
    InvalidRepository,
    MissingGraph,
    ModelFailedToLoad,
    ServerStartError,
    StartTimeout,
    UnsupportedProfile,
)
from emotalk_server.installation import find_triton
from emotalk_server.log import LogReader
from emotalk_server.ports import LOOPBACK, Ports, check_ports
from emotalk_server.probe import ProbeFailed, post, probe

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 4.0
"""Seconds between asking the server to stop and killing it."""
POLL_S = 0.1
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Triton's Python backend keeps its regions
SECRET_HEADER = "emotalk-supervisor"  # noqa: S105  # a header's name; its value is drawn anew each time


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What to serve, and where."""

    repository: Path
    ports: Ports = field(default_factory=Ports)
    address: str = LOOPBACK
    profile: Profile = "cpu"
    start_timeout_s: float = 600.0
    cache_bytes: int = 0
    """What the encoders gave may be kept in so much memory: the same speech in another style then costs a decoder."""


class TritonProcess:
    """A running Triton; made by :meth:`start`."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.http_url = f"http://{_reachable(settings.address)}:{settings.ports.http}"
        self._name = f"emotalk_{os.getpid()}_{secrets.token_hex(4)}"
        self._secret = secrets.token_hex(16)
        self._folder = tempfile.TemporaryDirectory(prefix="emotalk-server-")
        self._process: subprocess.Popen[str] | None = None
        self._log: LogReader | None = None

    @classmethod
    def start(cls, settings: ServerSettings) -> TritonProcess:
        """Start Triton and wait until the ensemble answers.

        Raises:
            ServerStartError: the subclass that says what keeps it from serving.
        """
        check_repository(settings.repository, settings.profile)
        check_ports(settings.ports, settings.address)
        server = cls(settings)
        try:
            server._launch()
            server._await_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def _launch(self) -> None:
        triton = find_triton()
        backends = triton.lay_out_backends(Path(self._folder.name))
        settings, ports = self.settings, self.settings.ports
        command = [
            str(triton.binary),
            f"--model-repository={settings.repository}",
            f"--backend-directory={backends}",
            "--disable-auto-complete-config",  # our configs are complete; guessing costs a process a model
            # Explicit control lets the supervisor reload a model whose process died.
            "--model-control-mode=explicit",
            "--load-model=*",
            f"--http-restricted-api=model-repository:{SECRET_HEADER}={self._secret}",
            f"--grpc-restricted-protocol=model-repository:{SECRET_HEADER}={self._secret}",
            *(f"--{name}-address={settings.address}" for name in ("http", "grpc", "metrics")),
            f"--http-port={ports.http}",
            f"--grpc-port={ports.grpc}",
            f"--metrics-port={ports.metrics}",
            f"--backend-config=python,shm-region-prefix-name={self._name}",
            f"--backend-config=onnxruntime,shm-region-prefix-name={self._name}",
            "--exit-timeout-secs=2",
        ]
        if settings.cache_bytes:
            command += [f"--cache-directory={triton.caches}", f"--cache-config=local,size={settings.cache_bytes}"]
        if settings.profile != "cpu":
            command.append(f"--model-config-name={settings.profile}")
        logger.debug("starting %s", " ".join(command).replace(self._secret, "..."))
        self._process = subprocess.Popen(
            command,
            env=triton.environment() | {SERVER_FOLDER: self._folder.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # the stubs are in the group, and a terminal's Ctrl-C is ours to handle
            preexec_fn=_end_with_parent(),
        )
        assert self._process.stdout is not None  # noqa: S101  # stdout=PIPE
        self._log = LogReader(self._process.stdout)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self.settings.start_timeout_s
        reason = ""
        while time.monotonic() < deadline:
            if self.returncode is not None:
                raise self._why_it_ended()
            try:
                self.probe(timeout_s=30.0)
            except ProbeFailed as error:
                reason = str(error)
                time.sleep(POLL_S)
            else:
                assert self._log is not None  # noqa: S101  # it was launched
                self._log.serving = True
                return
        raise StartTimeout(f"the server was not ready after {self.settings.start_timeout_s:g} s: {reason}")

    def _why_it_ended(self) -> ServerStartError:
        assert self._log is not None  # noqa: S101  # it was launched
        self._log.join()
        if failures := self._log.load_failures():
            return ModelFailedToLoad("; ".join(f"{name} failed to load: {reason}" for name, reason in failures.items()))
        return ServerStartError(f"Triton ended with status {self.returncode}:\n{self._log.tail()}")

    @property
    def returncode(self) -> int | None:
        """Triton's exit status, or None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int | None:
        """Triton's process id."""
        return self._process.pid if self._process else None

    def probe(self, timeout_s: float = 10.0) -> None:
        """Send the shortest clip through the ensemble; :class:`ProbeFailed` if that fails."""
        probe(self.http_url, timeout_s)

    def reload(self, model: str) -> None:
        """Unload and load ``model``, which gives it a new process. :class:`ProbeFailed` if Triton refuses."""
        for action in ("unload", "load"):
            url = f"{self.http_url}/v2/repository/models/{model}/{action}"
            post(url, {}, timeout_s=120.0, headers={SECRET_HEADER: self._secret})

    def stop(self) -> None:
        """End the server and all that belongs to it; does nothing the second time."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                logger.warning("Triton did not stop within %g s; killing it", STOP_TIMEOUT_S)
            with contextlib.suppress(ProcessLookupError):  # stubs that outlived it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if self._log is not None:
                self._log.join()
        for region in SHARED_MEMORY.glob(f"{self._name}*"):
            region.unlink(missing_ok=True)
        self._folder.cleanup()


def check_repository(repository: Path, profile: Profile) -> None:
    """Say what is missing before Triton does.

    Raises:
        InvalidRepository: the folder is no repository of this project.
        UnsupportedProfile: the repository is not for ``profile``.
        MissingGraph: a network's file is missing.
    """
    for model in (*tensors.STEPS, tensors.ENSEMBLE):
        if not (repository / model.name / "config.pbtxt").is_file():
            raise InvalidRepository(
                f"{repository} is no EmoTalk model repository: {model.name}/config.pbtxt is missing. "
                "`emotalk-export --repository DIR` writes one"
            )
    if not all((repository / model.name / PROFILE_PATHS[profile]).is_file() for model in tensors.GRAPHS):
        raise UnsupportedProfile(
            f"{repository} has no configs for the profile {profile}: int8 graphs are for CPUs; accepted: --profile cpu"
        )
    graph = "model.plan" if profile == "tensorrt" else "model.onnx"
    for model in tensors.GRAPHS:
        path = repository / model.name / VERSION / graph
        if not path.is_file():
            option = " --tensorrt" if profile == "tensorrt" else ""
            raise MissingGraph(f"{path} is missing; `emotalk-export{option}` writes it")


def _reachable(address: str) -> str:
    """Where to reach a server that listens on ``address``."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(address, address)  # noqa: S104  # compared, not bound
    return f"[{host}]" if ":" in host else host


def _end_with_parent() -> Callable[[], object] | None:
    """What the child runs first: ask the kernel to stop it when this process dies, however that happens.

    The kernel watches the thread that forked, so only the main thread, which lives as long as the process, may ask.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    prctl, set_death_signal = ctypes.CDLL(None).prctl, 1
    return lambda: prctl(set_death_signal, signal.SIGTERM)
