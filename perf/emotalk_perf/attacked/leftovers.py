"""Remains of a run: files in /tmp and /dev/shm, and processes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Set
from pathlib import Path

from emotalk_perf.attacked.processes import of_run
from emotalk_server.leavings import ENVIRONMENTS, PREFIX, REGIONS, SHARED_MEMORY

OURS = ("emotalk", "triton_python_backend_shm_region_", "python_env_")
"""Prefixes of what a server or a gateway makes there."""
TRITONS_OWN = Path("/tmp")  # noqa: S108  # whatever TMPDIR says
PATIENCE_S = 3.0
"""Seconds in which the last processes may still end."""


def files(own: Path) -> set[Path]:
    """Return what lies there now and may be ours, of the run whose temporary files are in ``own``.

    What other servers on this machine claim is left out: their shared memory comes and goes with their requests.
    """
    folders = {SHARED_MEMORY, TRITONS_OWN, own}
    found = {path for folder in folders for path in folder.iterdir() if path.name.startswith(OURS)}
    return {path for path in found if not _claimed(path, own)}


def _claimed(path: Path, own: Path) -> bool:
    others = [folder for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if folder.parent != own]
    if path in others:
        return True
    if path.name.startswith(REGIONS):
        return any(path.name.startswith(f"{REGIONS}{folder.name.removeprefix(PREFIX)}_") for folder in others)
    return any(str(path) in _text(folder / ENVIRONMENTS).splitlines() for folder in others)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:  # gone, or not there yet
        return ""


def left_behind(before: Set[Path], mark: str, own: Path) -> list[str]:
    """Return what is there that was not ``before``, and processes that carry ``mark``."""
    until = time.monotonic() + PATIENCE_S
    while of_run(mark) and time.monotonic() < until:
        time.sleep(0.1)
    processes = [f"process {one.pid} ({one.kind})" for one in of_run(mark)]
    return processes + sorted(str(path) for path in files(own) - before if not in_use(path))


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
