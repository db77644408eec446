"""A clip, read block by block: what must be known of it before its first window, then window after window.

Rule that this module guards: **memory does not grow with the clip.** What is in memory is one block, and the samples
that the next window needs.
"""

from __future__ import annotations

import io
import os
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.loading import AudioSource, blocks, expected_samples
from emotalk_client.audio.tail import AudioTail
from emotalk_client.threads import in_thread
from emotalk_client.windows.planner import PlannedWindow, Planner
from emotalk_client.wire.retry import Deadline


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a face may depend on all along a clip."""

    samples: int
    """At 16 kHz."""
    statistics: NDArray[np.float32]
    """Mean and population variance, [2]."""


class Clip:
    """Audio that can be read several times.

    Args:
        source: a path, an open binary file (read from where it is), or an array.
        sample_rate: Hertz, of an array.
    """

    def __init__(self, source: AudioSource, sample_rate: int | None) -> None:
        self._start: int | None = None
        if not isinstance(source, (str, os.PathLike, np.ndarray)) and hasattr(source, "read"):
            if not (hasattr(source, "seekable") and source.seekable()):
                content = source.read()  # a pipe or a socket: it cannot be read twice
                source = io.BytesIO(content) if isinstance(content, bytes) else io.StringIO(content)
            self._start = source.tell()
        self._source: Any = source
        self._rate = sample_rate

    async def expected_samples(self) -> int:
        """Samples at 16 kHz that there should be; 0 where only reading tells. What shows without reading is raised."""
        self._rewind()
        expected: int = await in_thread(expected_samples, self._source, self._rate)
        return expected

    async def facts(self, deadline: Deadline) -> ClipFacts:
        """Read all of it once.

        Blocks are merged as Chan, Golub & LeVeque do (The American Statistician 37 (1983) 242), in float64.

        Raises:
            the errors of :func:`emotalk_client.audio.loading.load`, and DeadlineExceeded.
        """
        count, mean, squares = 0, 0.0, 0.0
        reader = self._blocks()
        try:
            while (block := await in_thread(next, reader, None)) is not None:
                deadline.remaining()
                wide = block.astype(np.float64)
                new, new_mean = len(wide), float(wide.mean())
                gap = new_mean - mean
                squares += float(np.square(wide - new_mean).sum()) + gap * gap * count * new / (count + new)
                count += new
                mean += gap * new / count
        finally:
            reader.close()
        return ClipFacts(count, np.array([mean, squares / count if count else 0.0], np.float32))

    async def windows(self, planner: Planner) -> AsyncGenerator[tuple[PlannedWindow, NDArray[np.float32]], None]:
        """Windows and their samples, in order, read as they are asked for.

        Raises:
            the errors of :func:`emotalk_client.audio.loading.load`, and AudioTooShort.
        """
        tail = AudioTail()
        reader = self._blocks()
        try:
            while (block := await in_thread(next, reader, None)) is not None:
                tail.push(block)
                for window in planner.push(len(block)):
                    yield window, tail.part(window.start_sample, window.samples)
                tail.forget(planner.needed_from)
            last = planner.flush()
            yield last, tail.part(last.start_sample, last.samples)
        finally:
            reader.close()

    def _blocks(self) -> Generator[NDArray[np.float32], None, None]:
        self._rewind()
        return blocks(self._source, self._rate)

    def _rewind(self) -> None:
        if self._start is not None:
            self._source.seek(self._start)
