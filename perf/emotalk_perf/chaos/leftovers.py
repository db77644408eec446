"""Remains of a run: files in /tmp and /dev/shm, and processes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Set
from pathlib import Path

from emotalk_perf.chaos.processes import of_run

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Triton's Python backend keeps its regions
OURS = ("emotalk", "triton_python_backend_shm_region_", "python_env_")
"""Prefixes of what a server or a gateway makes there."""
PATIENCE_S = 3.0
"""Seconds in which the last processes may still end."""


def files() -> set[Path]:
    """Return what lies there now and may be ours."""
    folders = (SHARED_MEMORY, Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108  # Triton's, whatever TMPDIR says
    return {path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.name.startswith(OURS)}


def left_behind(before: Set[Path], mark: str) -> list[str]:
    """Return what is there that was not ``before``, and processes that carry ``mark``."""
    until = time.monotonic() + PATIENCE_S
    while of_run(mark) and time.monotonic() < until:
        time.sleep(0.1)
    processes = [f"process {one.pid} ({one.kind})" for one in of_run(mark)]
    return processes + sorted(str(path) for path in files() - before)
