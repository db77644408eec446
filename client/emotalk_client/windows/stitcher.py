"""Joins the answers to windows: frames in order, each exactly once. No I/O: push results, get what is final."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import UnexpectedResponse
from emotalk_client.windows.planner import PlannedWindow


class Stitcher:
    """Takes windows in any order, gives their frames in the clip's, from ``first`` on."""

    def __init__(self, first: int = 0) -> None:
        self._next = first
        self._waiting: dict[int, NDArray[np.float32]] = {}

    @property
    def next_frame(self) -> int:
        """Absolute frame of the next one to come out."""
        return self._next

    def push(self, window: PlannedWindow, weights: NDArray[np.float32]) -> list[tuple[int, NDArray[np.float32]]]:
        """The answer to ``window``, [F, 52]; returns (absolute frame of the first row, rows) that are now final.

        Raises:
            UnexpectedResponse: the answer has too few frames, or frames that are here already.
        """
        kept = weights[window.kept].copy()  # a view would keep the whole answer in memory for as long as a frame
        if len(kept) != window.end - window.first:
            raise UnexpectedResponse(
                f"the window from frame {window.start_frame} came back with {len(weights)} frames; "
                f"frames up to {window.end} were expected"
            )
        if window.first < self._next or window.first in self._waiting:
            raise UnexpectedResponse(f"frame {window.first} came back twice")
        self._waiting[window.first] = kept
        ready = []
        while (rows := self._waiting.pop(self._next, None)) is not None:
            ready.append((self._next, rows))
            self._next += len(rows)
        return ready

    def finish(self, frames: int) -> None:
        """Say that nothing more comes of a clip of ``frames`` frames.

        Raises:
            UnexpectedResponse: frames are missing.
        """
        if self._waiting or self._next != frames:
            raise UnexpectedResponse(f"frames from {self._next} of {frames} are missing")
