"""The sound of a video: whatever the client reads, as it was recorded, in stereo at most and at one rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from emotalk_avatar.video.writing import SOUND_RATE

PIECE = 1 << 18
"""Samples a channel that are read at once."""


def in_one_shape(pieces: Iterator[NDArray[np.float32]], rate: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """Yield ``pieces`` [n, any] at ``rate`` Hertz as [n, channels] at :data:`~emotalk_avatar.video.writing.SOUND_RATE`.

    Sample n of what comes out, joined, is the sound at ``n / SOUND_RATE`` seconds.
    """
    same = rate == SOUND_RATE
    stream = None if same else soxr.ResampleStream(rate, SOUND_RATE, channels, dtype="float32", quality="HQ")
    for piece in pieces:
        shaped = _with(piece, channels)
        yield shaped if stream is None else _rows(stream.resample_chunk(shaped), channels)
    if stream is not None:
        yield _rows(stream.resample_chunk(np.zeros((0, channels), np.float32), last=True), channels)


def _with(piece: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    rows = piece.reshape(len(piece), -1)
    if rows.shape[1] != channels:
        rows = np.repeat(rows.mean(axis=1, keepdims=True), channels, axis=1)
    return np.ascontiguousarray(np.clip(rows, -1, 1), np.float32)


def _rows(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    return samples.reshape(-1, channels)


class Cut:
    """Sound in pieces of any length, cut at any moments. No I/O beyond that of ``pieces``."""

    def __init__(self, pieces: Iterator[NDArray[np.float32]], channels: int) -> None:
        self._pieces = pieces
        self._held = np.zeros((0, channels), np.float32)
        self._given = 0

    def until(self, seconds: float | None) -> NDArray[np.float32]:
        """Return what lies before ``seconds``, and was not given before: [n, channels]; None: all that is left."""
        wanted = None if seconds is None else max(0, round(seconds * SOUND_RATE) - self._given)
        parts = [self._held]
        count = len(self._held)
        while wanted is None or count < wanted:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            count += len(piece)
        joined = np.concatenate(parts)
        out, self._held = (joined, joined[:0]) if wanted is None else (joined[:wanted], joined[wanted:])
        self._given += len(out)
        return out
