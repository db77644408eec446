"""Commands of a run: what they print, what they leave behind, and when they answer."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from emotalk_perf.attacked.leftovers import files, left_behind
from emotalk_perf.attacked.processes import MARK
from emotalk_perf.errors import ServiceNotStarted

HOST = "127.0.0.1"
START_S = 120.0
POLL_S = 0.1
LAST_LINES = 3
"""Of each command, in an error."""


class Watched:
    """Base of what keeps commands running for as long as a block lasts.

    Their temporary files are in a folder of their own, and every process carries :attr:`mark` in its environment.
    """

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self.logs = Path()
        self.left: list[str] = []
        """Remains of the run, once the block is over."""
        self.tracebacks: list[str] = []
        """Last line of each traceback that was printed, likewise."""

    def watch(self, stack: ExitStack) -> dict[str, str]:
        """Return the environment of the commands, to be started on ``stack``; when that is closed, look back."""
        self.logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attacked-logs-")))
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attacked-temporary-")))
        stack.callback(self._look_back, files(own), own)
        return {MARK: self.mark, "TMPDIR": str(own)}

    def await_(self, question: Callable[[], bool], what: str) -> None:
        """Return when ``question`` has a true answer.

        Raises:
            ServiceNotStarted: it has none in time; ``what`` says what was not there.
        """
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if question():
                    return
            except OSError:
                pass
            time.sleep(POLL_S)
        raise ServiceNotStarted(f"{what} within {START_S:g} s; {self.said()}")

    def said(self) -> str:
        """Return the last lines of what was printed."""
        logs = sorted(self.logs.glob("*.log"))
        ends = {log.stem: log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:] for log in logs}
        return " | ".join(f"{name}: {line}" for name, lines in ends.items() for line in lines) or "nothing was printed"

    def _look_back(self, before: set[Path], own: Path) -> None:
        self.left = left_behind(before, self.mark, own)
        self.tracebacks = [line for log in sorted(self.logs.glob("*.log")) for line in tracebacks(log)]


def tracebacks(log: Path) -> list[str]:
    """Return the last line of each traceback in ``log``."""
    found, inside = [], False
    for line in log.read_text("utf-8", "replace").splitlines():
        if "Traceback (most recent call last)" in line:
            inside = True
        elif inside and line and not line[0].isspace():
            found.append(f"{log.stem}: {line[:200]}")
            inside = False
    return found
