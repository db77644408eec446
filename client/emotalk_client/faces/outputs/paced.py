"""Frames on the clock.

Rule that this module guards: **frame n leaves at start + n / fps**, whenever it was ready. The start is when the first
frame comes, so nothing drifts; a frame that is late leaves at once, and nothing is kept: who sends waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from emotalk_client.faces.animation import Frame
from emotalk_client.faces.outputs.output import Output
from emotalk_contract.timing import FPS


class Paced:
    """An output before which each frame waits for its time.

    :meth:`send` blocks; with an event loop, wait ``asyncio.sleep(paced.wait_s(frame))`` first.
    """

    def __init__(
        self,
        output: Output,
        fps: float = FPS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``clock`` gives seconds, ``sleep`` waits for as many: the machine's own, unless a test has others."""
        self._output = output
        self._fps = fps
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None
        """When frame 0 left, or would have."""

    def wait_s(self, frame: Frame) -> float:
        """Return the seconds until ``frame`` is due; 0 if it is late or the first."""
        now = self._clock()
        if self._start is None:
            self._start = now - frame.index / self._fps
        return max(0.0, self._start + frame.index / self._fps - now)

    def send(self, frame: Frame) -> None:
        """Wait until ``frame`` is due, and send it."""
        wait = self.wait_s(frame)
        if wait:
            self._sleep(wait)
        self._output.send(frame)

    def close(self) -> None:
        """Close the output."""
        self._output.close()
