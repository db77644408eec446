"""One Triton process: start it, know when it serves, stop it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from emotalk_contract import tensors
from emotalk_contract.configs import PROFILE_PATHS, Profile
from emotalk_contract.launch import SERVER_FOLDER
from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import Manifest, ManifestError, Recipe
from emotalk_contract.repository import VERSION
from emotalk_contract.speech import VOICES_VARIABLE
from emotalk_server import restrictions, tracing
from emotalk_server.errors import (
    InvalidRepository,
    MissingGraph,
    ModelFailedToLoad,
    ServerStartError,
    StartCancelled,
    StartTimeout,
    UnsupportedProfile,
)
from emotalk_server.family import Family
from emotalk_server.folder import ServerFolder, unusable
from emotalk_server.groups import DEFAULT_GROUPS, Group, serve
from emotalk_server.installation import find_triton
from emotalk_server.integrity import check_manifest
from emotalk_server.launcher import launch
from emotalk_server.leavings import OWNER_VARIABLE
from emotalk_server.log import LogReader
from emotalk_server.ports import LOOPBACK, Ports, reachable
from emotalk_server.probing import ProbeFailed, get, probe, probe_step
from emotalk_server.renderers import served_renderers

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 4.0
"""Seconds between asking the server to stop and killing it."""
POLL_S = 0.05
READY_TIMEOUT_S = 2.0
FIRST_PROBE_TIMEOUT_S = 120.0
LIVE_CONFIG, LIVE_FILE = Path(tensors.LIVE.name, "config.pbtxt"), Path(tensors.LIVE.name, VERSION, "model.onnx")
SAFE_VERSION = (2, 60)
"""Of Triton, as in the images from 25.08: earlier ones have published holes, and single requests end them."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """A repository, and how to serve it."""

    repository: Path
    ports: Ports = field(default_factory=Ports)
    address: str = LOOPBACK
    profile: Profile = "cpu"
    start_timeout_s: float = 600.0
    cache_bytes: int = 0
    """Memory in which the encoders' outputs may be kept: the same speech in another style then costs a decoder."""
    groups: tuple[Group, ...] = DEFAULT_GROUPS
    """Of models to serve."""
    voices: str = ""
    """As :data:`emotalk_contract.speech.VOICES_VARIABLE` has them."""
    renderers: Path | None = None
    """A folder of neural renderers to serve beside them."""
    trace_url: str | None = None
    """The address to which Triton sends its spans, in OTLP over HTTP; None: to none."""


class TritonProcess:
    """A running Triton; made by :meth:`start`."""

    def __init__(self, settings: ServerSettings, folder: ServerFolder) -> None:
        self.settings = settings
        self.http_url = f"http://{reachable(settings.address)}:{settings.ports.http}"
        self.metrics_url = f"http://{reachable(settings.address)}:{settings.ports.metrics}/metrics"
        self._reach = _recipe(settings.repository).steps if "live" in settings.groups else None
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._family: Family | None = None
        self._log: LogReader | None = None

    @classmethod
    def start(
        cls, settings: ServerSettings, folder: ServerFolder, cancelled: threading.Event, *, proven: bool = False
    ) -> TritonProcess:
        """Start Triton and wait until it serves.

        Args:
            cancelled: ends the wait when it is set.
            proven: it served before, so that Triton's word is enough; else an inference must succeed, which under
                load waits for others.

        Raises:
            ServerStartError: the subclass that says what keeps it from serving.
        """
        server = cls(settings, folder)
        try:
            server._launch()
            server._await_ready(cancelled, proven=proven)
        except BaseException:
            server.kill()
            raise
        return server

    def _launch(self) -> None:
        triton = find_triton()
        settings, ports = self.settings, self.settings.ports
        try:
            backends = self._folder.backends(triton)
            models = self._folder.for_models()
            served = serve(settings.repository, settings.groups, self._folder.for_groups())
            served += served_renderers(settings.renderers)
        except OSError as error:
            raise unusable(self._folder.path.parent, error) from error
        http_address, grpc_address = settings.address, settings.address
        if ":" in settings.address:
            http_address, grpc_address = f"ipv6:{settings.address}", f"[{settings.address}]"
        command = [
            str(triton.binary),
            *served,
            f"--backend-directory={backends}",
            "--disable-auto-complete-config",  # our configs are complete; guessing costs a process a model
            *restrictions.options(),
            f"--http-address={http_address}",
            f"--grpc-address={grpc_address}",
            f"--metrics-address={http_address}",
            f"--http-port={ports.http}",
            f"--grpc-port={ports.grpc}",
            f"--metrics-port={ports.metrics}",
            f"--backend-config=python,shm-region-prefix-name={self._folder.region_prefix}",
            f"--backend-config=onnxruntime,shm-region-prefix-name={self._folder.region_prefix}",
            "--exit-timeout-secs=2",
        ]
        if settings.cache_bytes:
            command += [f"--cache-directory={triton.caches}", f"--cache-config=local,size={settings.cache_bytes}"]
        if settings.trace_url is not None:
            command += tracing.options(settings.trace_url)
        if settings.profile != "cpu":
            command.append(f"--model-config-name={settings.profile}")
        logger.debug("starting %s", " ".join(command))
        environment = triton.environment() | {SERVER_FOLDER: str(models), OWNER_VARIABLE: str(self._folder.path)}
        if settings.voices:
            environment[VOICES_VARIABLE] = settings.voices
        self._folder.before_launch()
        try:
            self._process = launch(command, environment, self._folder.path)
        except OSError as error:
            raise ServerStartError(f"{triton.binary} cannot be started ({error.strerror or error})") from error
        assert self._process.stdout is not None  # noqa: S101  # stdout=PIPE
        self._log = LogReader(self._process.stdout)
        self._family = Family(self._process.pid)

    def _await_ready(self, cancelled: threading.Event, *, proven: bool) -> None:
        deadline = time.monotonic() + self.settings.start_timeout_s
        reason = ""
        while time.monotonic() < deadline:
            if self.returncode is not None:
                raise self._why_it_ended()
            try:
                get(f"{self.http_url}/v2/health/ready", READY_TIMEOUT_S)
                self.family.find_stubs()
                if not proven:
                    self.probe(FIRST_PROBE_TIMEOUT_S)
            except ProbeFailed as error:
                reason = str(error)
            else:
                assert self._log is not None  # noqa: S101  # it was launched
                self._log.serving = True
                self._folder.after_launch()
                return
            if cancelled.wait(POLL_S):
                raise StartCancelled("the server was stopped while it started")
        raise StartTimeout(f"the server was not ready after {self.settings.start_timeout_s:g} s: {reason}")

    def _why_it_ended(self) -> ServerStartError:
        assert self._log is not None  # noqa: S101  # it was launched
        self._log.join()
        if failures := self._log.load_failures():
            return ModelFailedToLoad("; ".join(f"{name} failed to load: {reason}" for name, reason in failures.items()))
        return ServerStartError(f"Triton ended with status {self.returncode}:\n{self._log.tail()}")

    @property
    def family(self) -> Family:
        """Its processes, watched through the kernel.

        Raises:
            ServerStartError: it was not launched.
        """
        if self._family is None:
            raise ServerStartError("Triton was not launched")
        return self._family

    @property
    def returncode(self) -> int | None:
        """Triton's exit status, or None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int | None:
        """Triton's process id."""
        return self._process.pid if self._process else None

    def probe(self, timeout_s: float = 10.0) -> None:
        """Send the shortest clip through the ensemble, and where the network streams, a step; :class:`ProbeFailed` if
        one of them fails.
        """
        probe(self.http_url, timeout_s)
        if self._reach is not None:
            probe_step(self.http_url, self._reach, timeout_s)

    def triton_version(self) -> tuple[int, ...]:
        """Return what Triton says of itself, as in ``(2, 51, 0)``; empty, which is the oldest, if it says nothing."""
        try:
            version = str(json.loads(get(f"{self.http_url}/v2", READY_TIMEOUT_S))["version"])
        except (ProbeFailed, ValueError, KeyError, TypeError):
            return ()
        return tuple(int(part) for part in re.findall(r"\d+", version))

    def stop(self) -> None:
        """Let the server finish what it computes, then end it and all that belongs to it."""
        if self._process is not None and self._process.poll() is None:
            if self._log is not None:
                self._log.serving = False  # that its own time to stop was short matters to nobody
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                logger.info("Triton did not stop within %g s; killing it", STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End it and all that belongs to it at once; does nothing the second time."""
        process, self._process = self._process, None
        if process is not None:
            self._folder.after_launch()
            if self._family is not None:
                self._family.kill()
            with contextlib.suppress(ProcessLookupError):  # those that were started since
                os.killpg(process.pid, 9)
            process.wait()
            if self._family is not None:
                self._family.bury()
            self._folder.after_death()
            if self._log is not None:
                self._log.join()


def check_repository(repository: Path, profile: Profile, *, with_plans: bool = True) -> None:
    """Say what is missing or damaged before Triton does.

    Args:
        with_plans: False: those of the profile ``tensorrt`` will be built from the graphs, which are checked instead.

    Raises:
        InvalidRepository: the folder is not a repository of this project.
        UnsupportedProfile: the repository is not for ``profile``.
        MissingGraph: a network's file is missing.
        CorruptRepository: a file is not the one that the manifest describes.
    """
    served = pipeline(_recipe(repository))
    for model in (*served.steps, tensors.ENSEMBLE):
        if not (repository / model.name / "config.pbtxt").is_file():
            raise InvalidRepository(
                f"{repository} is not an EmoTalk model repository: {model.name}/config.pbtxt is missing. "
                "`emotalk-export --repository DIR` writes one"
            )
    if not all((repository / model.name / PROFILE_PATHS[profile]).is_file() for model in served.graphs):
        raise UnsupportedProfile(
            f"{repository} has no configs for the profile {profile}: int8 graphs are for CPUs; accepted: --profile cpu"
        )
    suffix = ".plan" if profile == "tensorrt" and with_plans else ".onnx"
    for model in served.graphs:
        path = repository / model.name / VERSION / f"model{suffix}"
        if not path.is_file():
            option = " --tensorrt" if suffix == ".plan" else ""
            raise MissingGraph(f"{path} is missing; `emotalk-export{option}` writes it" + _or_built(suffix))
    if check_manifest(repository, suffix).recipe.steps is not None:
        for path in (LIVE_CONFIG, LIVE_FILE):
            if not (repository / path).is_file():
                raise MissingGraph(f"{repository / path} is missing; `emotalk-export` writes it")


def _or_built(suffix: str) -> str:
    return ", or `emotalk-server --plans DIR` builds it" if suffix == ".plan" else ""


def _recipe(repository: Path) -> Recipe:
    """The recipe of ``repository``'s network; one that asks for all steps where its manifest cannot say (which is
    refused later).
    """
    try:
        return Manifest.load(repository).recipe
    except ManifestError:
        return Recipe()
