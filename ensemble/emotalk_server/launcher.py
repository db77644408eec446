"""Starts processes from one thread that lives as long as this process does.

The kernel can kill a child when its parent dies (``PR_SET_PDEATHSIG``), but the parent that it watches is the *thread*
that forked. A child of a thread that ends, be it a supervisor's or a request's, would die with it. So every Triton is
forked by the same thread, which ends with the process only.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


def launch(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start ``command`` in a process group of its own, which the kernel kills as soon as this process ends.

    Raises:
        OSError: it cannot be started.
    """
    parent = os.getpid()

    def end_with_parent() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it was watched
            os._exit(1)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # the stubs are in the group, and a terminal's Ctrl-C is ours to handle
            preexec_fn=end_with_parent,  # only two calls that need no lock
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
