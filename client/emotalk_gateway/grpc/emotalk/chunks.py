"""A face cut into the service's answers. Push/flush, no I/O.

Rule that this module guards: **the chunks, joined, are the whole face.** They begin where the service's own begin, each
a step after the one before, and each frame is in one of them: those of an overlap are not sent twice. Timecodes count
from the beginning of the sound, ``frame_number`` from that of the chunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.timing import FPS
from emotalk_gateway.grpc.messages import message

RESPONSE = "emotalk.BlendshapeResponse"


class Chunks:
    """Blocks of frames in order in, answers out.

    Args:
        request_id: of every answer.
        step_s: seconds from the beginning of one chunk to that of the next; at least a frame.
    """

    def __init__(self, request_id: str, step_s: float) -> None:
        self._request_id = request_id
        self._step_s = step_s
        self._frame = 0
        self.index = 0
        """Of the chunk that grows."""
        self._growing = self._empty()
        self._begin, self._end = 0, self._end_after(0)

    def push(self, weights: NDArray[np.float32]) -> Iterator[Any]:
        """Yield the chunks that are whole, and not the last, now that ``weights`` [F, 52] have come."""
        while len(weights):
            if self._frame == self._end:
                yield self._growing
                self.index += 1
                self._begin, self._end = self._end, self._end_after(self._end)
                self._growing = self._empty()
            room = self._end - self._frame
            for row in weights[:room].tolist():
                self._growing.frames.add(
                    timecode=self._frame / FPS, frame_number=self._frame - self._begin, blendshapes=row
                )
                self._frame += 1
            weights = weights[room:]

    def flush(self) -> Any:
        """Return the last chunk."""
        self._growing.is_final = True
        return self._growing

    def failed(self, why: str) -> Any:
        """Return the answer that ends the call because of ``why``."""
        return message(RESPONSE)(request_id=self._request_id, chunk_index=self.index, is_final=True, error_message=why)

    def _empty(self) -> Any:
        return message(RESPONSE)(request_id=self._request_id, chunk_index=self.index)

    def _end_after(self, begin: int) -> int:
        return max(begin + 1, math.ceil((self.index + 1) * self._step_s * FPS - 1e-3))
