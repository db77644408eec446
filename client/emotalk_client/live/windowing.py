"""Frames from windows that carry the past with them: the way of a live stream that every network serves. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.live.audio import SpokenAudio
from emotalk_client.live.planner import LiveLayout, LivePlanner
from emotalk_client.live.ways import Blocks, Request, Way
from emotalk_client.windows.detected import Emotions, emotions_in
from emotalk_client.windows.planner import PlannedWindow
from emotalk_client.windows.stitcher import Stitcher
from emotalk_client.wire.transport import checked
from emotalk_contract import tensors
from emotalk_contract.timing import FPS, SAMPLE_RATE, Window


class Windowing(Way):
    """See :class:`~emotalk_client.live.ways.Way`, and :mod:`emotalk_client.live.planner` for how windows lie.

    Args:
        layout: of the windows.
        audio: the stream's; what no window to come may ask for is let go of.
        inputs: what goes with every window.
        first: absolute frame of the first that is wanted.
        detected: names of the emotions that the model detects.
    """

    def __init__(
        self,
        layout: LiveLayout,
        audio: SpokenAudio,
        inputs: dict[str, NDArray[Any]],
        first: int = 0,
        detected: Sequence[str] = (),
    ) -> None:
        self._emotions: Emotions | None = None
        self._detected = detected
        self._layout = layout
        self._audio = audio
        self._inputs = inputs
        self._planner = LivePlanner(layout, first)
        self._stitcher = Stitcher(first)
        self._window = PlannedWindow(0, 0, 0, 0)
        """The last that was asked for."""

    @property
    def next_frame(self) -> int:
        """See :class:`Way`."""
        return self._stitcher.next_frame

    @property
    def emotions(self) -> Emotions | None:
        """See :class:`Way`."""
        return self._emotions

    @property
    def waits_s(self) -> float:
        """See :class:`Way`."""
        return self._layout.look_ahead / SAMPLE_RATE + self._layout.hop / FPS

    @property
    def due(self) -> int:
        """See :class:`Way`."""
        return self._planner.due

    def request(self, over: bool) -> Request | None:
        """See :class:`Way`."""
        planner, tail = self._planner, self._audio.tail
        planner.push(tail.end - planner.samples)
        window = planner.cut()
        if window is None and over:
            window = planner.flush()
        if window is None:
            return None
        self._window = window
        inputs = {
            **self._inputs,
            tensors.AUDIO.name: tail.part(window.start_sample, window.samples)[None],
            tensors.START_FRAME.name: np.array([[window.start_frame]], np.int64),
        }
        if self._audio.statistics is not None:
            inputs[tensors.CLIP_STATS.name] = self._audio.statistics.value()[None]
        tail.forget(planner.needed_from)
        return Request(tensors.ENSEMBLE, inputs)

    def answered(self, outputs: dict[str, Any]) -> Blocks:
        """See :class:`Way`."""
        place = Window(self._window.samples, self._window.start_frame)
        blocks = self._stitcher.push(self._window, checked(outputs, place.frames, place.start_frame))
        self._emotions = emotions_in(outputs, self._detected)
        return blocks

    def instead(self, error: Exception) -> None:
        """See :class:`Way`: no other."""
