"""The sound of each frame, as PCM16 at the caller's own rate. Pure, no I/O.

Rule that this module guards: **put together, the sound of the frames is what was spoken**, to the sample, and silence
after it up to a whole frame. ``rate / 30`` need not be an integer (44 100 / 30 is, 16 000 / 30 is not), so that the
bounds of frames are rounded down one by one, and never added up: frame k has the samples from ``floor(k * rate / 30)``
to ``floor((k + 1) * rate / 30)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import FPS

PCM16 = np.dtype("<i2")
"""Little-endian, one channel."""
FULL_SCALE = 32_768


def first_sample(frame: int, rate: int) -> int:
    """Return the first sample of ``frame`` at ``rate`` Hertz: ``floor(frame * rate / 30)``."""
    return frame * rate // FPS


def pcm16(samples: NDArray[Any]) -> bytes:
    """Return ``samples`` [n], int16 or floats -1..1, as :data:`PCM16`; what is louder is cut off."""
    if samples.dtype.kind == "f":
        samples = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    return samples.astype(PCM16).tobytes()


def silence(frame: int, rate: int) -> bytes:
    """Return the silence of ``frame``'s time."""
    return bytes((first_sample(frame + 1, rate) - first_sample(frame, rate)) * PCM16.itemsize)


class SpokenEcho:
    """The speech so far, until it is taken frame by frame.

    It keeps what is not taken yet: as much as its owner lets wait.

    Args:
        rate: Hertz of what is pushed, and of what comes out.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._taken = 0
        """Samples before the first that is kept."""
        self._kept = bytearray()

    def push(self, samples: NDArray[Any]) -> None:
        """Hear ``samples`` [n], int16 or floats -1..1."""
        self._kept += pcm16(samples)

    def take(self, first: int, count: int) -> list[bytes]:
        """Return the sound of ``count`` frames from ``first`` on, and forget it.

        Sound before ``first`` that nobody has taken comes with it. Sound that has not been spoken is silence: of the
        last frame, that after the end.
        """
        return [self._until(first_sample(frame + 1, self._rate)) for frame in range(first, first + count)]

    def _until(self, end: int) -> bytes:
        wanted = max(0, end - self._taken) * PCM16.itemsize
        sound = bytes(self._kept[:wanted])
        del self._kept[:wanted]
        self._taken = max(self._taken, end)
        return sound + bytes(wanted - len(sound))
