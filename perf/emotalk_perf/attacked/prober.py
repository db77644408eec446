"""Asks all the time, and keeps when which answer came: for faces directly, and of ``/health/ready``."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from emotalk_contract import tensors
from emotalk_perf.attacked.answers import TOLERANCE, Known

EVERY_S = 0.1
"""Seconds between two questions for a face; they overlap, so that one that hangs hides none."""
READY_EVERY_S = 0.05
PATIENCE_S = 2.0
"""Seconds after which a question has failed."""
AT_ONCE = 24


@dataclass(frozen=True, slots=True)
class Answer:
    """One question: when it was asked and answered (seconds of the monotonic clock), and whether all was well."""

    asked: float
    answered: float
    well: bool


class Prober:
    """Asks ``question`` every ``every_s`` seconds for as long as the block lasts; it returns True where all is well."""

    def __init__(self, question: Callable[[], bool], every_s: float) -> None:
        self._question = question
        self._every_s = every_s
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._pool.shutdown()

    def since(self, moment: float) -> list[Answer]:
        """Return what was asked after ``moment`` and answered by now, in the order of asking."""
        with self._lock:
            later = [answer for answer in reversed(self._answers) if answer.asked > moment]
        return sorted(later, key=lambda answer: answer.asked)

    def _go_on(self) -> None:
        while not self._stopping.wait(self._every_s):
            self._pool.submit(self._ask)

    def _ask(self) -> None:
        asked = time.monotonic()
        try:
            well = self._question()
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            well = False
        with self._lock:
            self._answers.append(Answer(asked, time.monotonic(), well))


def face_of(host: str, port: int, known: Known) -> Callable[[], bool]:
    """Return a question for the face of ``known`` at Triton's HTTP port, over a connection of its own each time."""
    audio = {
        "name": tensors.AUDIO.name,
        "datatype": tensors.AUDIO.datatype,
        "shape": [1, len(known.clip)],
        "data": known.clip.tolist(),
    }
    body = json.dumps({"inputs": [audio], "outputs": [{"name": tensors.BLENDSHAPES.name}]})
    path = f"/v2/models/{tensors.ENSEMBLE.name}/infer"

    def question() -> bool:
        answer = _asked(host, port, "POST", path, body)
        if answer is None:
            return False
        weights = np.array(json.loads(answer)["outputs"][0]["data"], np.float32)
        return weights.size == known.weights.size and bool(
            np.allclose(weights, known.weights.ravel(), rtol=0, atol=TOLERANCE)
        )

    return question


def ready_of(host: str, port: int, path: str = "/health/ready") -> Callable[[], bool]:
    """Return the question whether ``path`` answers 200."""
    return lambda: _asked(host, port, "GET", path, None) is not None


def _asked(host: str, port: int, method: str, path: str, body: str | None) -> bytes | None:
    """Return the body of an answer of 200; None for any other."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        content = answer.read()
        return content if answer.status == http.client.OK else None
    finally:
        connection.close()
