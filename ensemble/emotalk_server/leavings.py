"""Removes what a server left behind; also the program that does so when the server's owner was killed.

Rule that this module guards: **nothing stays behind**, whichever process dies first. Three lines of defence: the owner
cleans up when it stops the server; a janitor (this file, run as a program) waits for the owner's death and does it in
its place; and the next server that starts sweeps after owners whose janitor died too.

All that belongs to one server can be found from its folder, ``TMP/emotalk-server-TOKEN``: processes carry it in their
environment, shared memory its token in the names, and Triton's own temporary folders are listed in a file in it. The
owner holds a lock on a file in the folder for as long as it lives.

Needs the standard library only and imports nothing of ours, so that the janitor stays small.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "emotalk-server-"
"""Of the folders' names; the rest is the token."""
LOCK = "lock"
ENVIRONMENTS = "python_environments"
"""File in the folder: Triton's own temporary folders, one a line."""
OWNER_VARIABLE = "EMOTALK_SERVER_OWNER"
"""Environment variable by which a server's processes are known: its value is the folder."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Triton's Python backend keeps its regions
REGIONS = "triton_python_backend_shm_region_emotalk_"
"""Beginning of the regions' names: Triton lets no client register a region whose name begins as its own do."""
DEATH_TIMEOUT_S = 5.0
"""Seconds to wait for the end of what was killed."""
UNLOCKED_S = 60.0
"""A folder that has no lock yet may be somebody's who is just making it, unless it is older."""


def region_prefix(folder: Path) -> str:
    """Return how the names of the shared memory begin that belongs to the server of ``folder``."""
    return f"{REGIONS}{folder.name.removeprefix(PREFIX)}_"


def clean(folder: Path) -> None:
    """Kill what belongs to the server of ``folder``, and remove its shared memory, temporary folders and ``folder``."""
    kill_all(folder)
    remove_regions(folder)
    remove_environments(folder)
    shutil.rmtree(folder, ignore_errors=True)


def kill_all(folder: Path) -> None:
    """Kill the processes of the server of ``folder``, and wait for their end."""
    deadline = time.monotonic() + DEATH_TIMEOUT_S
    while pids := list(processes(folder)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def processes(folder: Path) -> Iterator[int]:
    """Yield the ids of the living processes that belong to the server of ``folder``."""
    mark = f"{OWNER_VARIABLE}={folder}\0".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it ended, or is somebody else's
                if mark in (entry / "environ").read_bytes():
                    yield int(entry.name)


def remove_regions(folder: Path) -> None:
    """Unlink the shared memory of the server of ``folder``."""
    for region in SHARED_MEMORY.glob(f"{region_prefix(folder)}*"):
        with contextlib.suppress(OSError):
            region.unlink()


def remove_environments(folder: Path) -> None:
    """Remove Triton's own temporary folders of the server of ``folder``, where they are empty."""
    with contextlib.suppress(OSError):
        for line in (folder / ENVIRONMENTS).read_text("utf-8").splitlines():
            with contextlib.suppress(OSError):
                Path(line).rmdir()
        (folder / ENVIRONMENTS).unlink()


def sweep(parent: Path) -> list[Path]:
    """Clean up after every server under ``parent`` whose owner is dead; return their folders."""
    swept = []
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _if_dead(folder) as dead:
            if dead:
                clean(folder)
                swept.append(folder)
    return swept


@contextlib.contextmanager
def _if_dead(folder: Path) -> Iterator[bool]:
    """Hold the lock of ``folder`` if its owner does not; OSError if it cannot be known."""
    status = os.lstat(folder)
    if status.st_uid != os.geteuid():
        yield False
        return
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield time.time() - status.st_mtime > UNLOCKED_S
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def main(arguments: list[str]) -> int:
    """Wait for the death of the owner, process ``arguments[0]``; then clean up after the folder ``arguments[1]``."""
    owner, folder = int(arguments[0]), Path(arguments[1])
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(owner)
        if os.getppid() == owner:
            select.select([handle], [], [])
    with contextlib.suppress(OSError), _if_dead(folder) as dead:
        if dead:
            clean(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
