"""The processes of one run, found by a mark in their environment, so that none hides by changing its parent."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

MARK = "EMOTALK_CHAOS_RUN"
"""Environment variable that every process of a run inherits."""

SUPERVISOR, GATEWAY, TRITON, HELPER = "supervisor", "gateway", "triton", "helper"
STUB = "stub "
"""Prefix of the kind of a Python model's process; its model's name follows."""

_STUB = re.compile(r"triton_python_backend_stub\0.*\0(?P<model>\w+?)_\d+_\d+\0")


@dataclass(frozen=True, slots=True)
class Process:
    """One process."""

    pid: int
    kind: str

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False where it has ended."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def of_run(mark: str) -> list[Process]:
    """Return every live process that carries ``mark``, this one aside."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid != os.getpid() and wanted in _bytes(folder / "environ").split(b"\0") and not _ended(folder):
            found.append(Process(pid, kind_of(_bytes(folder / "cmdline").decode("utf-8", "replace"))))
    return found


def kind_of(command: str) -> str:
    """Return the kind of the process whose arguments are ``command``, separated and ended by NUL."""
    if stub := _STUB.search(command):
        return STUB + stub["model"]
    arguments = command.split("\0")
    if Path(arguments[0]).name == "tritonserver":
        return TRITON
    if "emotalk_server.cli" in arguments:
        return SUPERVISOR
    if "emotalk_cli" in arguments and "gateway" in arguments:
        return GATEWAY
    return HELPER


def _ended(folder: Path) -> bool:
    """Tell whether it is a zombie: ended, and not yet waited for."""
    status = _bytes(folder / "stat").rpartition(b")")[2].split()
    return not status or status[0] in (b"Z", b"X")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""
