"""Callers who ask for faces, and for little, while others are hostile."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from emotalk_perf.attacked.answers import CUT_OFF, RIGHT, WRONG, Tally
from emotalk_perf.hostile.gateway import CAPABILITIES

PAUSE_S = 0.05
"""Seconds between an answer and the next question."""
PATIENCE_S = 30.0


@dataclass
class Waits(Tally):
    """A tally that keeps every wait."""

    seconds: list[float] = field(default_factory=list)

    def note(self, column: str, seconds: float = 0.0, why: str = "", allowed_s: float = 60.0) -> None:
        """Count one answer, and pause as a caller does."""
        super().note(column, seconds, why, allowed_s)
        with self.lock:
            self.seconds.append(seconds)
        time.sleep(PAUSE_S)

    def state(self) -> tuple[int, int, int, int]:
        """Return how many waits, right, wrong and other answers there are by now."""
        with self.lock:
            right, wrong = self.columns[RIGHT], self.columns[WRONG]
            return len(self.seconds), right, wrong, sum(self.columns.values()) - right - wrong


@dataclass(frozen=True, slots=True)
class Seen:
    """One honest caller's answers while a case ran."""

    caller: str
    right: int
    wrong: int
    lost: int
    """Refused, cut off, too few or too many frames."""
    p99_ms: float
    longest_ms: float


def since(waits: Waits, before: tuple[int, int, int, int]) -> Seen:
    """Return what was seen since the state ``before``."""
    now = waits.state()
    seconds = np.array(waits.seconds[before[0] : now[0]] or [0.0])
    right, wrong, lost = (now[index] - before[index] for index in (1, 2, 3))
    return Seen(waits.caller, right, wrong, lost, 1000 * float(np.percentile(seconds, 99)), 1000 * float(seconds.max()))


def light(host: str, port: int) -> Callable[[Tally, threading.Event], None]:
    """Return a caller of the gateway that asks for what costs nothing."""

    def ask(tally: Tally, stopping: threading.Event) -> None:
        while not stopping.is_set():
            began = time.monotonic()
            connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
            try:
                connection.request("GET", CAPABILITIES)
                answer = connection.getresponse()
                well = answer.status == http.client.OK and b"jawOpen" in answer.read()
                tally.note(RIGHT if well else WRONG, time.monotonic() - began, f"status {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                tally.note(CUT_OFF, time.monotonic() - began, type(error).__name__)
            finally:
                connection.close()

    return ask
