"""Starts processes from one thread that lives as long as this process does.

The kernel can kill a child when its parent dies (``PR_SET_PDEATHSIG``), but the parent that it watches is the *thread*
that forked. A child of a thread that ends, be it a supervisor's or a request's, would die with it. So every Triton is
forked by the same thread, which ends with the process only.

The child asks for that itself, as a small Python that then becomes the command: code that runs between fork and exec
would run every library's fork handlers too, gRPC's among them.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

_BECOME = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[2]):  # else it died before it was watched
    os.execvp(sys.argv[3], sys.argv[3:])
"""


def dies_with_us(command: Sequence[str], number: signal.Signals) -> list[str]:
    """Return ``command`` such that the kernel sends it ``number`` when the thread that starts it ends."""
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(int(number)), str(os.getpid()), *command]


def launch(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start ``command`` in a process group of its own, which the kernel kills as soon as this process ends.

    Raises:
        OSError: it cannot be started.
    """
    wrapped = dies_with_us(command, signal.SIGKILL)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            wrapped,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # the stubs are in the group, and a terminal's Ctrl-C is ours to handle
        )

    return _thread().run(start)


class _Launcher:
    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[str]], Future[subprocess.Popen[str]]]]
        self._work = queue.SimpleQueue()
        threading.Thread(target=self._loop, name="emotalk-launcher", daemon=True).start()

    def run(self, start: Callable[[], subprocess.Popen[str]]) -> subprocess.Popen[str]:
        future: Future[subprocess.Popen[str]] = Future()
        self._work.put((start, future))
        return future.result()

    def _loop(self) -> None:
        while True:
            start, future = self._work.get()
            try:
                future.set_result(start())
            except BaseException as error:  # noqa: BLE001  # it is whoever asked's to handle
                future.set_exception(error)


_lock = threading.Lock()
_launchers: dict[int, _Launcher] = {}
"""By process: a forked child has none of its parent's threads."""


def _thread() -> _Launcher:
    with _lock:
        if os.getpid() not in _launchers:
            _launchers[os.getpid()] = _Launcher()
        return _launchers[os.getpid()]
