"""The state of a live stream, which travels with its caller.

Rule that this module guards: **only what a step of these weights gave is taken.** A state says which weights it belongs
to and has a checksum of its own; what does not fit is refused before anything is computed from it. The checksum is
against accidents: whoever forges a state harms their own stream, and no other.

Layout, little-endian: :data:`_HEAD`, then the raw weights of the last frames, :data:`HISTORY` to
:data:`MOST_HISTORY`, then the graph's cache.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.errors import InvalidState, StaleState
from emotalk_contract.limits import MAX_CLIP_SAMPLES, MAX_START_FRAME
from emotalk_contract.regions import MOST_REACH
from emotalk_contract.timing import FEATURE_HOP, GRID_FRAMES

MAGIC = b"emo2"
"""Of this layout; raised when it changes."""
HISTORY = 4
"""Frames before the first that is not final: as many as smoothing takes of the past, and as many as wait for it."""
MOST_HISTORY = HISTORY + MOST_REACH
"""With those that the filters of regions look back, where there are such."""
_HEAD = struct.Struct("<4sI8sqqqq")
"""Magic, checksum of what follows, weights, features so far, frames handed out so far, absolute frame of the first, and
rows of history."""
_CHECKED_FROM = 8
MAX_FEATURES = MAX_CLIP_SAMPLES // FEATURE_HOP


@dataclass(slots=True, eq=False)
class StreamState:
    """A stream between two steps."""

    start_frame: int
    """Absolute frame of its first."""
    features: int
    """That it has brought."""
    given: int
    """Frames that it was given."""
    history: NDArray[np.float32]
    """[H, 52] raw weights of the frames before the first that is not final."""
    cache: NDArray[np.float32]
    """[cache]"""


class StateCodec:
    """States to bytes and back, for the weights of one repository.

    Args:
        weights: 8 bytes that tell these weights from others.
        cache: numbers in a cache.
    """

    def __init__(self, weights: bytes, cache: int) -> None:
        self._weights = weights
        self._cache = cache

    def size(self, history: int = HISTORY) -> int:
        """Return the bytes of a state with ``history`` rows."""
        return _HEAD.size + 4 * (history * BLENDSHAPE_COUNT + self._cache)

    def new(self, start_frame: int = 0) -> StreamState:
        """Return the state of a stream that begins."""
        history = np.zeros((HISTORY, BLENDSHAPE_COUNT), np.float32)
        return StreamState(start_frame, 0, 0, history, np.zeros(self._cache, np.float32))

    def read(self, content: NDArray[np.uint8]) -> StreamState:
        """Return the state in ``content`` [bytes]. Its arrays are views of that.

        Raises:
            InvalidState: no step gave this.
            StaleState: one of other weights, or another version of this server, did.
        """
        if len(content) < _HEAD.size:
            raise InvalidState(f"STATE has {len(content)} bytes; accepted: {self.size()} or more, as a step gave them")
        data: Any = np.ascontiguousarray(content).data
        magic, checksum, weights, features, given, start_frame, rows = _HEAD.unpack_from(data)
        if magic[:3] != MAGIC[:3]:
            raise InvalidState("STATE does not begin as one does; accepted: what the step before gave, unchanged")
        if checksum != zlib.crc32(data[_CHECKED_FROM:]):
            raise InvalidState("STATE was changed or cut; accepted: what the step before gave, unchanged")
        if magic != MAGIC or weights != self._weights or len(content) != self.size(rows):
            raise StaleState("STATE is of other weights than those that are served; accepted: the stream begun again")
        numbers = np.frombuffer(data, np.float32, offset=_HEAD.size)
        if not (
            HISTORY <= rows <= MOST_HISTORY
            and 0 <= features <= MAX_FEATURES
            and 0 <= given <= MAX_START_FRAME
            and 0 <= start_frame <= MAX_START_FRAME
            and start_frame % GRID_FRAMES == 0
            and np.isfinite(numbers).all()
        ):
            raise InvalidState("STATE holds what no step gives; accepted: what the step before gave, unchanged")
        history, cache = np.split(numbers, [rows * BLENDSHAPE_COUNT])
        return StreamState(start_frame, features, given, history.reshape(rows, BLENDSHAPE_COUNT), cache)

    def written(self, state: StreamState) -> NDArray[np.uint8]:
        """Return ``state`` as bytes."""
        rows = len(state.history)
        content = np.empty(self.size(rows), np.uint8)
        numbers = content[_HEAD.size :].view(np.float32)
        numbers[: state.history.size] = state.history.reshape(-1)
        numbers[state.history.size :] = state.cache
        data: Any = content.data
        _HEAD.pack_into(data, 0, MAGIC, 0, self._weights, state.features, state.given, state.start_frame, rows)
        struct.pack_into("<I", data, 4, zlib.crc32(data[_CHECKED_FROM:]))
        return content
