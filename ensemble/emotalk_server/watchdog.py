"""Finds a Triton that lives but does not serve, and kills it: the supervisor then starts another.

Slow is not dead: an inference may wait behind the load for as long as it takes. A Triton is killed only where

* its HTTP endpoint, which no load keeps from answering, is silent for :data:`SILENT_S`;
* one of its processes is stopped (SIGSTOP) for :data:`STOPPED_S`: it answers nobody, and Triton calls it ready;
* an inference says that a model's process is not healthy, which Triton finds when one hangs;
* inferences fail, and not one request of anybody's came out for :data:`FRUITLESS_S`.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING

from emotalk_contract.tensors import ENSEMBLE
from emotalk_server.probing import ProbeFailed, get

if TYPE_CHECKING:
    from emotalk_server.process import TritonProcess

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
ANSWER_WITHIN_S = 2.0
SILENT_S = 10.0
"""Seconds without an answer after which a Triton is dead."""
STOPPED_EVERY_S, STOPPED_S = 0.2, 0.5
"""Seconds between two looks at the processes' states, and of standing still after which one is killed."""
INFER_EVERY_S = 5.0
INFER_WITHIN_S = 10.0
FRUITLESS_S = 60.0
"""Seconds in which nothing came out. The longest batch of EmoTalk's own size takes half of that on two cores."""

UNHEALTHY = re.compile(r"Stub process '(?P<model>\w+?)_\d+_\d+' is not healthy")
_DONE = re.compile(rf'^nv_inference_request_success{{model="{ENSEMBLE.name}",[^}}]*}} (\S+)', re.MULTILINE)
_WAITING = re.compile(r'^nv_inference_pending_request_count{model="[^"]*",[^}]*} (\S+)', re.MULTILINE)


class Watchdog:
    """Threads that watch ``process``, until :meth:`stop`, or until one of them had to kill it."""

    def __init__(self, process: TritonProcess) -> None:
        self._process = process
        self._stopped = threading.Event()
        self.verdict: str | None = None
        """Why the process was killed, if it was."""
        self.waiting = 0
        """Requests that waited at the last look."""
        now = time.monotonic()
        self.answered_at = now
        """When Triton last answered."""
        self._running_at = now
        self._done, self._done_at = 0.0, now

    def start(self) -> None:
        """Begin to watch."""
        looks = (
            ("looks", self._look, LOOK_EVERY_S),
            ("states", self._look_at_states, STOPPED_EVERY_S),
            ("infers", self._infer, INFER_EVERY_S),
        )
        for name, look, every_s in looks:
            threading.Thread(
                target=self._repeat, args=(look, every_s), name=f"emotalk-watchdog-{name}", daemon=True
            ).start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()

    def _repeat(self, look: object, every_s: float) -> None:
        assert callable(look)  # noqa: S101
        while not self._stopped.wait(every_s):
            try:
                look()
            except Exception:
                logger.exception("the watchdog failed; it goes on")

    def _look_at_states(self) -> None:
        now, stopped = time.monotonic(), self._process.family.stopped()
        if not stopped:
            self._running_at = now
        elif now - self._running_at > STOPPED_S:
            self._condemn(f"{', '.join(stopped)} stood still, stopped by somebody")

    def _look(self) -> None:
        now = time.monotonic()
        try:
            get(f"{self._process.http_url}/v2/health/live", ANSWER_WITHIN_S)
        except ProbeFailed as error:
            logger.debug("Triton does not answer: %s", error)
        else:
            self.answered_at = time.monotonic()
        if now - self.answered_at > SILENT_S:
            self._condemn(f"Triton answered nothing for {now - self.answered_at:.0f} s")
        self._read_metrics()

    def _read_metrics(self) -> None:
        try:
            text = get(self._process.metrics_url, ANSWER_WITHIN_S)
        except ProbeFailed:
            return
        self.waiting = int(sum(float(value) for value in _WAITING.findall(text)))
        done = sum(float(value) for value in _DONE.findall(text))
        if done != self._done:
            self._done, self._done_at = done, time.monotonic()

    def _infer(self) -> None:
        try:
            self._process.probe(INFER_WITHIN_S)
        except ProbeFailed as error:
            if self._stopped.is_set():
                return
            logger.debug("the health inference failed: %s", error)
            if found := UNHEALTHY.search(str(error)):
                self._condemn(f"the process of {found['model']} hangs")
            elif (fruitless_s := time.monotonic() - self._done_at) > FRUITLESS_S:
                self._condemn(f"Triton served nobody for {fruitless_s:.0f} s ({error})")

    def _condemn(self, why: str) -> None:
        """Kill the processes; the supervisor sees them die."""
        if not self._stopped.is_set():
            self.verdict = why
            self._stopped.set()
            self._process.family.kill()
