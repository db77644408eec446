"""Triton's log, read as it is written: kept, passed on, and searched for the reason of a failure."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from typing import IO

logger = logging.getLogger("emotalk_server.triton")

_LINE = re.compile(r"^([IWEF])\d{4} ")
_LEVELS = {"I": logging.DEBUG, "W": logging.DEBUG, "E": logging.WARNING, "F": logging.WARNING}
# Without a GPU Triton warns of pinned memory and streams; its warnings are of use to debuggers only.
_ROW = re.compile(r"^\| (?P<name>\S*) +\| (?P<version>\S*) +\| (?P<status>.*?) *\|$")


class LogReader:
    """Reads ``stream`` on a thread of its own until it ends."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=500)
        self._level = logging.DEBUG
        self.serving = False
        """Without it errors are only kept: whoever waits for the start reports them once, at the end nobody does."""
        self._thread = threading.Thread(target=self._read, name="triton-log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                text = line.rstrip()
                self._lines.append(text)
                if match := _LINE.match(text):
                    self._level = _LEVELS[match[1]]
                logger.log(self._level if self.serving else logging.DEBUG, "%s", text)

    def join(self) -> None:
        """Wait for the stream's end."""
        self._thread.join(timeout=5)

    def tail(self, lines: int = 15) -> str:
        """The last lines."""
        return "\n".join(list(self._lines)[-lines:])

    def load_failures(self) -> dict[str, str]:
        """Model name to reason, from the table that Triton prints when it gives up."""
        return load_failures(list(self._lines))


def load_failures(lines: list[str]) -> dict[str, str]:
    """Models that are UNAVAILABLE in Triton's table of models, and why; a cell may span several rows."""
    reasons: dict[str, str] = {}
    current: str | None = None
    for line in lines:
        row = _ROW.match(line)
        if row is None:
            if not line.startswith("|"):
                current = None
            continue
        if row["name"]:
            status = row["status"]
            current = row["name"] if status.startswith("UNAVAILABLE") else None
            if current is not None:
                reasons[current] = status.removeprefix("UNAVAILABLE: ")
        elif current is not None:
            reasons[current] += " " + row["status"]
    return {name: _short(reason) for name, reason in reasons.items()}


def _short(reason: str) -> str:
    """One line, without the Python frames that Triton appends."""
    return re.sub(r"\s+", " ", reason).split(" At: ")[0].strip()
