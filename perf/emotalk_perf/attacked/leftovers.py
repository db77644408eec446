"""Remains of a run: files in /tmp and /dev/shm, and processes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Set
from pathlib import Path

from emotalk_perf.attacked.processes import of_run
from emotalk_server.leavings import ENVIRONMENTS, PREFIX, SHARED_MEMORY

OURS = ("emotalk", "triton_python_backend_shm_region_", "python_env_")
"""Prefixes of what a server or a gateway makes there."""
TRITONS_OWN = Path("/tmp")  # noqa: S108  # whatever TMPDIR says
PATIENCE_S = 3.0
"""Seconds in which the last processes may still end."""


def files(own: Path) -> set[Path]:
    """Return what lies there now and may be ours, of the run whose temporary files are in ``own``."""
    folders = {SHARED_MEMORY, TRITONS_OWN, own}
    return {path for folder in folders for path in folder.iterdir() if path.name.startswith(OURS)}


def left_behind(before: Set[Path], mark: str, own: Path) -> list[str]:
    """Return what is there that was not ``before`` and is not somebody else's, and processes that carry ``mark``."""
    until = time.monotonic() + PATIENCE_S
    while of_run(mark) and time.monotonic() < until:
        time.sleep(0.1)
    processes = [f"process {one.pid} ({one.kind})" for one in of_run(mark)]
    new = files(own) - before
    return processes + sorted(str(path) for path in new if not (in_use(path) or _listed_by_others(path, own)))


def in_use(path: Path) -> bool:
    """Return True where a process that lives has ``path`` mapped or on its command line: it is another run's."""
    name = path.name.encode()
    for folder in Path("/proc").glob("[0-9]*"):
        for of in ("cmdline", "maps"):
            try:
                if int(folder.name) != os.getpid() and name in (folder / of).read_bytes():
                    return True
            except OSError:  # it has ended, or is not ours to read
                continue
    return False


def _listed_by_others(path: Path, own: Path) -> bool:
    """Return True for a folder of Triton's, which no process names, where another server has noted it as its own."""
    others = [folder for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if folder.parent != own]
    return any(str(path) in _text(folder / ENVIRONMENTS).splitlines() for folder in others)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:  # gone, or not there yet
        return ""
