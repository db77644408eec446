"""Triton and the processes of its Python models, watched through the kernel.

Triton goes on calling a model ready whose process died, and an inference that would show it waits behind the load. The
kernel tells of a death within milliseconds, whatever the load: a process's file descriptor becomes readable.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

TRITON = "Triton"
STUB = "triton_python_b"
"""Name of a Python model's process, as the kernel abbreviates it."""
DEATH_TIMEOUT_MS = 5000


@dataclass(frozen=True, slots=True)
class Member:
    """One process; ``handle`` becomes readable when it ends."""

    pid: int
    handle: int
    name: str
    """Of its model, or ``Triton``."""

    @property
    def alive(self) -> bool:
        """True until it has ended."""
        return not _ended(self.handle, 0)

    @property
    def stopped(self) -> bool:
        """True where somebody stopped it (SIGSTOP), so that it answers nothing."""
        return _stat(self.pid)[0] == "T"


class Family:
    """A Triton, and after :meth:`find_stubs` the processes of its models. Several threads may ask it."""

    def __init__(self, triton: int) -> None:
        self._lock = threading.Lock()
        self._members = [Member(triton, os.pidfd_open(triton), TRITON)]

    def find_stubs(self) -> None:
        """Watch the processes that Triton has now started."""
        with self._lock:
            known = {member.pid for member in self._members}
            for pid in _children(self._members[0].pid):
                if pid not in known:
                    with contextlib.suppress(ProcessLookupError):
                        self._members.append(Member(pid, os.pidfd_open(pid), _model(pid)))

    def pids(self) -> list[int]:
        """Return the process ids, Triton's first."""
        with self._lock:
            return [member.pid for member in self._members]

    def dead(self) -> list[str]:
        """Return the names of those that ended."""
        with self._lock:
            return [member.name for member in self._members if not member.alive]

    def stopped(self) -> list[str]:
        """Return the names of those that are stopped."""
        with self._lock:
            return [member.name for member in self._members if member.stopped]

    def handles(self) -> list[int]:
        """Return what becomes readable when one of them ends; valid until :meth:`bury`."""
        with self._lock:
            return [member.handle for member in self._members]

    def kill(self) -> None:
        """Kill them all at once, and wait for their end."""
        with self._lock:
            for member in self._members:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(member.handle, signal.SIGKILL)
            for member in self._members:
                _ended(member.handle, DEATH_TIMEOUT_MS)

    def bury(self) -> None:
        """Forget them, after their death."""
        with self._lock:
            for member in self._members:
                if member.name != TRITON:  # whoever started Triton reaps it
                    # Where this process is the first of a container, orphans become its children.
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(member.pid, os.WNOHANG)
                os.close(member.handle)
            self._members = []


def _ended(handle: int, timeout_ms: int) -> bool:
    """Return whether the process of ``handle`` ends within ``timeout_ms``."""
    poll = select.poll()  # select.select() bears no handle above 1023
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def _children(parent: int) -> list[int]:
    """Return the ids of the processes of Python models that ``parent`` started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _stat(int(entry.name))[1] == parent:
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text("utf-8").startswith(STUB):
                    found.append(int(entry.name))
    return found


def _stat(pid: int) -> tuple[str, int]:
    """Return a process's state and its parent, or an empty state if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return "", 0
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def _model(pid: int) -> str:
    """Return the name of the model that the stub ``pid`` runs, from ``…/MODEL/VERSION/FILE`` on its command line."""
    with contextlib.suppress(OSError, IndexError):
        return Path(Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")[1]).parts[-3]
    return f"process {pid}"
