"""The latency of frames: from the moment that a frame's own audio was spoken to the frame's arrival."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from emotalk_client.faces.animation import Frame


class LatencyMeter:
    """Told of every block of speech and every frame, in order.

    Frame f is the face at f/30 s; its audio is spoken when that moment has been pushed. ``clock`` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spoken: deque[tuple[float, float]] = deque()

    def spoken(self, until_s: float) -> None:
        """Note that speech has come up to ``until_s`` seconds of the stream, now."""
        self._spoken.append((until_s, self._clock()))

    def arrived(self, frame: Frame) -> float:
        """Return the seconds by which ``frame``, here now, is later than its audio."""
        while len(self._spoken) > 1 and self._spoken[0][0] < frame.timecode:
            self._spoken.popleft()
        return self._clock() - self._spoken[0][1] if self._spoken else 0.0
