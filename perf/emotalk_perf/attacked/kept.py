"""A command that is started again as soon as it ends, as systemd's ``Restart=always`` does.

Rule that this module guards: **it ends with us, whatever ends us.** The kernel watches the thread that forks, so each
command has a thread of its own, which forks it every time and lives until it is stopped for good.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from emotalk_server.launcher import dies_with_us

STOP_S = 15.0
"""Seconds that it may take to stop when it is asked to."""
PAUSE_S = 0.1
"""Seconds between an end and the next start: systemd's ``RestartSec`` by default."""


class Kept:
    """``command``, kept running for as long as the block lasts.

    Args:
        environment: beside this process's own.
        log: a file that takes what it prints.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self._log = log
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="emotalk-kept", daemon=True)
        self.starts = 0
        """Starts so far."""
        self.stopped_in_time = True
        """False: it had to be killed in the end."""

    def __enter__(self) -> Kept:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        self._thread.join(STOP_S)
        if self._thread.is_alive() and process is not None:
            self.stopped_in_time = False
            process.kill()
            self._thread.join()

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process is not None else None

    def _keep(self) -> None:
        with self._log.open("ab") as log:
            while not self._stopping.is_set():
                self._process = subprocess.Popen(
                    dies_with_us(self._command, signal.SIGTERM),
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self.starts += 1
                if self._stopping.is_set():  # stopped between the look and the start
                    self._process.terminate()
                self._process.wait()
                self._stopping.wait(PAUSE_S)
