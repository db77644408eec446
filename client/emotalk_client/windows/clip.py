"""A clip, read block by block: what must be known of it before its first window, then window after window.

Rule that this module guards: **memory does not grow with the clip.** What is in memory is one block, and the samples
that the next window needs.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.loading import AudioSource, blocks, expected_samples
from emotalk_client.audio.notices import Notices
from emotalk_client.audio.pipes import name_of, seekable, spooled_aside
from emotalk_client.audio.tail import AudioTail
from emotalk_client.threads import in_thread
from emotalk_client.windows.planner import PlannedWindow, Planner
from emotalk_client.wire.retry import Deadline
from emotalk_contract.clip_statistics import running_statistics
from emotalk_contract.loudness import Leveller
from emotalk_contract.recipe import Normalisation
from emotalk_contract.timing import SAMPLE_RATE

STILL_S = 1.0
"""Seconds of a clip from which on a mouth that never moves is worth a warning."""


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Facts on which a face may depend all along a clip."""

    samples: int
    """At 16 kHz."""
    statistics: NDArray[np.float32]
    """CLIP_STATS, of the kind that the served model takes."""


class Clip:
    """Audio that can be read several times.

    Args:
        source: a path, an open binary file (read from where it is), or an array. A pipe is read to its end before
            anything else: off the event loop, and onto disk where it is much.
        sample_rate: Hertz, of an array.
    """

    def __init__(self, source: AudioSource, sample_rate: int | None) -> None:
        self._source: Any = source
        self._rate = sample_rate
        self._start: int | None = None
        self._rereadable = False
        self._peak = 0.0
        self._samples = 0
        self._notices = Notices()

    async def expected_samples(self) -> int:
        """Return the samples at 16 kHz that there should be; 0 where only reading tells.

        Raises:
            AudioError: what is wrong with it and shows without reading.
        """
        await self._rewind()
        expected: int = await in_thread(expected_samples, self._source, self._rate)
        return expected

    def warn_of_stillness(self) -> None:
        """Log that the mouth never moved; not of a clip that is too short to tell."""
        if self._samples >= STILL_S * SAMPLE_RATE:
            name = "the array" if isinstance(self._source, np.ndarray) else name_of(self._source)
            self._notices.warn(
                f"the mouth never moved in the {self._samples / SAMPLE_RATE:.1f} s of {name}: is there speech in it? "
                f"Its loudest sample is {self._peak:.4f} of full scale"
            )

    async def facts(self, deadline: Deadline, normalisation: Normalisation) -> ClipFacts:
        """Read all of it once, for a model that normalises as ``normalisation`` says.

        Raises:
            the errors of :func:`emotalk_client.audio.loading.load`, and DeadlineExceeded.
        """
        count, statistics = 0, running_statistics(normalisation)
        reader = await self._blocks()
        try:
            while (block := await in_thread(next, reader, None)) is not None:
                deadline.remaining()
                count += len(block)
                await in_thread(statistics.push, block)
        finally:
            reader.close()
        return ClipFacts(count, statistics.value())

    async def windows(
        self, planner: Planner, levelled: bool = False
    ) -> AsyncGenerator[tuple[PlannedWindow, NDArray[np.float32]], None]:
        """Yield windows and their samples, in order, read as they are asked for.

        Args:
            planner: cuts them.
            levelled: whether the clip goes through :mod:`emotalk_contract.loudness` first.

        Raises:
            the errors of :func:`emotalk_client.audio.loading.load`, and AudioTooShort.
        """
        leveller = Leveller() if levelled else None
        tail = AudioTail()
        reader = await self._blocks()
        try:
            while (block := await in_thread(next, reader, None)) is not None:
                self._samples += len(block)
                self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
                if leveller is not None:
                    block = await in_thread(leveller.push, block)
                for window in _cut(planner, tail, block):
                    yield window, tail.part(window.start_sample, window.samples)
                tail.forget(planner.needed_from)
            if leveller is not None:
                for window in _cut(planner, tail, leveller.flush()):
                    yield window, tail.part(window.start_sample, window.samples)
            last = planner.flush()
            yield last, tail.part(last.start_sample, last.samples)
        finally:
            reader.close()

    async def _blocks(self) -> Generator[NDArray[np.float32], None, None]:
        await self._rewind()
        return blocks(self._source, self._rate, notices=self._notices)

    async def _rewind(self) -> None:
        if not self._rereadable:
            source = self._source
            if isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
                if not seekable(source):
                    source = self._source = await spooled_aside(source)
                if not isinstance(source, (str, os.PathLike)):
                    self._start = source.tell()
            self._rereadable = True
        if self._start is not None:
            self._source.seek(self._start)


def _cut(planner: Planner, tail: AudioTail, block: NDArray[np.float32]) -> list[PlannedWindow]:
    """Windows that are whole now that ``block`` has come."""
    tail.push(block)
    return planner.push(len(block))
