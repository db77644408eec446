"""The speech of one call: once for the face, once to go back beside its frames. No I/O.

Rule that this module guards: **put together, the sound of the frames is what was spoken**, to the byte, and silence
after it up to a whole frame. It is kept once, until both have taken it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_client.live.echo import PCM16, first_sample
from emotalk_contract.timing import FPS

SIZE = PCM16.itemsize
"""Bytes of a sample."""


class Sound:
    """PCM16 at ``rate`` Hertz, one channel."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._kept = bytearray()
        self._first = 0
        """Byte of the speech at which what is kept begins."""
        self._fed = 0
        self._echoed = 0
        self._end = 0

    @property
    def samples(self) -> int:
        """That were spoken so far."""
        return self._end // SIZE

    @property
    def seconds(self) -> float:
        """That were spoken so far."""
        return self.samples / self.rate

    @property
    def is_whole(self) -> bool:
        """True where no half of a sample waits for its other half."""
        return self._end % SIZE == 0

    @property
    def frames(self) -> int:
        """Frames of what was spoken so far, the last one in part: ``ceil(30 * samples / rate)``."""
        return -(-self.samples * FPS // self.rate)

    def push(self, block: bytes) -> None:
        """Hear ``block``, of any size."""
        self._kept += block
        self._end += len(block)

    def unfed(self, most: int) -> NDArray[np.int16]:
        """Return the next samples for the face, at most ``most``; none where it has all."""
        end = min(self._end - self._end % SIZE, self._fed + most * SIZE)
        out = np.frombuffer(bytes(self._kept[self._fed - self._first : end - self._first]), PCM16)
        self._fed = end
        self._forget()
        return out

    def of_frame(self, frame: int) -> bytes:
        """Return the sound of ``frame``, the next one: samples ``floor(k rate / 30)`` to ``floor((k + 1) rate / 30)``.

        Of the last frame, what comes after the end is silence.
        """
        end = first_sample(frame + 1, self.rate) * SIZE
        wanted = end - self._echoed
        out = bytes(self._kept[self._echoed - self._first : end - self._first])
        self._echoed = end
        self._forget()
        return out + bytes(wanted - len(out))

    def _forget(self) -> None:
        done = min(self._fed, self._echoed) - self._first
        if done > 0:
            del self._kept[:done]
            self._first += done
