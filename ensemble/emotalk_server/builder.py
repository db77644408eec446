"""The builder of TensorRT plans on this machine: NVIDIA's tool, the TensorRT that it brings, and the GPU."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from emotalk_contract import plans
from emotalk_contract.plans import ShapeProfile
from emotalk_contract.recipe import Precision
from emotalk_server.errors import GpuMissing, PlanBuildFailed, StartCancelled, TensorRTMissing
from emotalk_server.launcher import dies_with_us

ASKED_S = 60.0
"""Seconds in which a tool must say what it is: its libraries are a gigabyte that is read for the first time."""
POLL_S = 0.2
HEARTBEAT_S = 15.0
"""Seconds between two lines that say that a plan is still being built."""
LAST_LINES = 12
"""Of a failed tool's output, in an error."""
_VERSION = re.compile(r"\[TensorRT v([\d.]+)\](?: \[(b\d+)\])?")
"""``[TensorRT v101300] [b35]``, in the first line of whatever trtexec says; older ones say no build."""


@dataclass(frozen=True, slots=True)
class Builder:
    """A tool, and what its plans will be for."""

    tool: str
    version: str
    """Of TensorRT, as the tool says it: ``101300 b35``."""
    gpu: str
    """Name and compute capability: ``NVIDIA H100 80GB HBM3, 9.0``."""

    def build(
        self,
        graph: Path,
        plan: Path,
        name: str,
        wanted: Sequence[ShapeProfile],
        precision: Precision,
        *,
        cancelled: threading.Event,
        tell: Callable[[str], None],
    ) -> None:
        """Build ``plan`` of ``graph``.

        Args:
            name: of the network.
            wanted: shapes of its inputs.
            cancelled: ends the tool when it is set.
            tell: called every :data:`HEARTBEAT_S` with a line.

        Raises:
            PlanBuildFailed: the tool failed; the message has the end of what it said.
            StartCancelled: it was ended.
        """
        command = plans.build_command(self.tool, graph, plan, wanted, precision)
        with tempfile.TemporaryFile() as log:
            status = _run(command, log, cancelled, lambda s: tell(f"{name}: still building after {s:.0f} s"))
            if status or not plan.is_file():
                log.seek(0)
                last = log.read().decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
                raise PlanBuildFailed(
                    f"{Path(self.tool).name} built no plan of {name} (exit status {status}). It said:\n"
                    + "\n".join(last)
                )


def find() -> Builder:
    """Return the builder of this machine.

    Raises:
        TensorRTMissing: no tool is here, or it does not start.
        GpuMissing: no GPU is here, or several kinds of them.
    """
    tool = plans.tool()
    if tool is None:
        raise TensorRTMissing(
            f"--profile tensorrt builds plans with {' or '.join(plans.COMMANDS)}, and neither is on the PATH or in "
            f"{plans.TOOLS_FOLDER}; NVIDIA's Triton image has trtexec there. Accepted without: --profile gpu, or a "
            "repository with plans (emotalk-export --tensorrt)"
        )
    return Builder(tool, _version(tool), _gpu())


def _version(tool: str) -> str:
    if Path(tool).name == plans.POLYGRAPHY:
        try:
            return importlib.metadata.version("tensorrt")
        except importlib.metadata.PackageNotFoundError:
            raise TensorRTMissing(f"{tool} is here, but not TensorRT for it: pip install tensorrt") from None
    said = _asked([tool, "--help"])
    if (found := _VERSION.search(said)) is None:
        raise TensorRTMissing(f"{tool} does not start, or says no TensorRT version; it said {said[-300:]!r}")
    return " ".join(filter(None, found.groups()))


def _gpu() -> str:
    nvidia_smi = shutil.which("nvidia-smi")
    if nvidia_smi is None:
        raise GpuMissing(
            "--profile tensorrt needs an NVIDIA GPU, and nvidia-smi is not here: start the container with --gpus, or "
            "install NVIDIA's driver. Accepted without a GPU: --profile cpu"
        )
    said = _asked([nvidia_smi, "--query-gpu=name,compute_cap", "--format=csv,noheader"]).strip()
    kinds = sorted({line.strip() for line in said.splitlines()})
    if not kinds or not all(re.fullmatch(r".+, \d+\.\d+", kind) for kind in kinds):
        raise GpuMissing(f"--profile tensorrt needs an NVIDIA GPU, and nvidia-smi names none; it said {said[-300:]!r}")
    if len(kinds) > 1:
        raise GpuMissing(
            f"a plan is for one kind of GPU, and here are {'; '.join(kinds)}; give the container one kind of them"
        )
    return kinds[0]


def _asked(command: list[str]) -> str:
    """Return what ``command`` says; what keeps it from saying anything, where it does not start."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=ASKED_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr


def _run(command: list[str], log: IO[bytes], cancelled: threading.Event, tell: Callable[[float], None]) -> int:
    """Run ``command`` to its end, and return its status; whatever else ends this ends it too."""
    began = told = time.monotonic()
    process = subprocess.Popen(
        dies_with_us(command, signal.SIGKILL), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        while True:
            try:
                return process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                if cancelled.is_set():
                    raise StartCancelled("the server was stopped while a plan was built") from None
                if (now := time.monotonic()) - told >= HEARTBEAT_S:
                    told = now
                    tell(now - began)
    finally:
        process.kill()
        process.wait()
