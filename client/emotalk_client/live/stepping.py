"""Frames from what is new alone, with the state that came back before: the way of networks that stream. No I/O.

Rule that this module guards: **every frame comes out once, whatever becomes of the state.** The state is the server's,
and travels with the caller. Until an answer is there the state before it is kept, so that a request may be sent again,
to another replica, or to a server that was restarted. Where a server refuses it (the weights are others by now), the
stream begins again in its middle: on the grid, from the sound that was kept, and the frames that were out already are
dropped. Where a server does not have the model, windows go on from the same sound.

Which samples a step sends, and which frames come of it, is :mod:`emotalk_contract.live_steps`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.errors import ModelMissing, UnexpectedResponse
from emotalk_client.live.audio import SpokenAudio
from emotalk_client.live.planner import LiveLayout
from emotalk_client.live.ways import Blocks, Request, Way
from emotalk_client.wire.transport import checked
from emotalk_contract import live_steps, tensors
from emotalk_contract.errors import InvalidState, StaleState
from emotalk_contract.live_steps import StepReach
from emotalk_contract.options import Parameter
from emotalk_contract.timing import FEATURE_HOP, FPS, GRID_FRAMES, SAMPLE_RATE, frame_count, frame_to_sample

KEPT_FRAMES = 60
"""Frames (2 s) before the next one whose sound is kept: the past of a stream that begins again."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that was asked for."""

    features: int
    """That there are after it, from the run's beginning on."""
    end: int
    """Absolute frame after the last that it gives."""


@dataclass(slots=True)
class _Run:
    """A stream since it began, or began again."""

    first: int
    """Absolute frame at which it began, on the grid."""
    given: int
    """Absolute frame after the last that came back."""
    features: int = 0
    """That were sent, and answered."""
    state: NDArray[np.uint8] | None = None
    """[1, bytes], as it came back; None before the first answer."""

    @property
    def start(self) -> int:
        """The stream's sample at which it began."""
        return frame_to_sample(self.first)


class Stepping(Way):
    """See :class:`~emotalk_client.live.ways.Way`.

    Args:
        layout: hops, and how long late ones may be; its context and look-ahead are for windows.
        reach: of the served network.
        audio: the stream's; what is needed no more is let go of.
        inputs: what goes with every request.
        windows: makes the other way, from a frame on.
        smooth: frames are smoothed, and wait for their neighbours.
        prompt: they wait for the nearer of them only.
    """

    def __init__(
        self,
        layout: LiveLayout,
        reach: StepReach,
        audio: SpokenAudio,
        inputs: dict[str, NDArray[Any]],
        windows: Callable[[int], Way],
        *,
        smooth: bool,
        prompt: bool,
    ) -> None:
        self._layout = layout
        self._sizes = tuple(layout.sizes())
        self._reach = reach
        self._audio = audio
        self._inputs = inputs
        self._windows = windows
        self._smooth = smooth
        self._prompt = prompt
        self._next = 0
        self._run = _Run(0, 0)
        self._step = _Step(0, 0)

    @property
    def next_frame(self) -> int:
        """See :class:`Way`."""
        return self._next

    @property
    def emotions(self) -> None:
        """See :class:`Way`: no step detects any."""

    @property
    def waits_s(self) -> float:
        """See :class:`Way`."""
        hop = self._layout.hop
        neighbours = live_steps.PROMPT_NEIGHBOURS if self._is_prompt else live_steps.NEIGHBOURS
        features = self._reach.ahead + 1  # a frame may lie anywhere between two features
        heard = (features * FEATURE_HOP + self._reach.lead) / SAMPLE_RATE
        return heard + (hop + (neighbours if self._smooth else 0)) / FPS

    @property
    def due(self) -> int:
        """See :class:`Way`."""
        return self._samples(self._next + self._layout.hop)

    def request(self, over: bool) -> Request | None:
        """See :class:`Way`."""
        run, reach, end = self._run, self._reach, self._audio.tail.end
        spoken = end - run.start
        late = [frames for frames in self._sizes if self._samples(self._next + frames) <= end]
        inputs = dict(self._inputs)
        if late:
            features = self._features(self._next + late[-1])
        elif over and self._next < frame_count(end):
            features = max(run.features + 1, live_steps.features_in_all(spoken))
            inputs[tensors.STREAM_SAMPLES.name] = np.array([[spoken]], np.int64)
        else:
            return None
        features = min(features, run.features + live_steps.MAX_STEP_FEATURES)
        parameters: dict[str, Parameter] = {live_steps.PROMPT_PARAMETER: True} if self._is_prompt else {}
        self._step = _Step(
            features, frame_count(end) if not late else max(run.given, run.first + self._settled(features))
        )
        first, samples = reach.span(run.features, features - run.features)
        sound = self._audio.tail.part(run.start + max(0, first), samples + min(0, first))
        if first < 0:
            sound = np.concatenate([np.zeros(-first, np.float32), sound])
        inputs[tensors.STEP_AUDIO.name] = sound[None]
        if run.state is not None:
            inputs[tensors.STATE.name] = run.state
        elif run.first:
            inputs[tensors.STREAM_START.name] = np.array([[run.first]], np.int64)
        return Request(tensors.LIVE, inputs, parameters)

    def answered(self, outputs: dict[str, Any]) -> Blocks:
        """See :class:`Way`."""
        run, step = self._run, self._step
        frames = step.end - run.given
        rows = checked(outputs, outputs[tensors.STEP_BLENDSHAPES.name].shape[1], run.given)
        if len(rows) < frames:
            raise UnexpectedResponse(
                f"a step from frame {run.given} came back with {len(rows)} frames; {frames} were expected"
            )
        rows = rows[:frames]  # a stream of less than the shortest clip is answered as one
        run.state = outputs[tensors.NEXT_STATE.name]
        run.features, run.given = step.features, step.end
        new = rows[max(0, self._next - (step.end - frames)) :].copy()
        first, self._next = self._next, max(self._next, step.end)
        self._audio.tail.forget(max(0, min(_kept_from(self._next), run.start + self._heard_again)))
        return [(first, new)] if len(new) else []

    def instead(self, error: Exception) -> Way | None:
        """See :class:`Way`."""
        if isinstance(error, ModelMissing):
            return self._windows(self._next)
        if isinstance(error, (StaleState, InvalidState)) and self._run.state is not None:
            first = max(0, self._next - KEPT_FRAMES) // GRID_FRAMES * GRID_FRAMES
            self._run = _Run(first, first)
            return self
        return None

    @property
    def _is_prompt(self) -> bool:
        return self._prompt

    @property
    def _heard_again(self) -> int:
        """The run's first sample that the next step sends."""
        return self._reach.span(self._run.features, 1)[0]

    def _settled(self, features: int) -> int:
        """Frames of the run that are final once it has ``features`` features."""
        return live_steps.settled(self._reach.known(features), smooth=self._smooth, prompt=self._is_prompt)

    def _features(self, end: int) -> int:
        """Features that the run has once the frames before ``end`` are final."""
        return self._reach.needed(
            live_steps.known_for(end - self._run.first, smooth=self._smooth, prompt=self._is_prompt)
        )

    def _samples(self, end: int) -> int:
        """Samples of the stream that must be spoken for the frames before ``end`` to be final."""
        return self._run.start + self._reach.spoken(self._features(end))


def _kept_from(frame: int) -> int:
    """Sample from which on sound is kept while ``frame`` is the next."""
    return frame_to_sample(max(0, frame - KEPT_FRAMES) // GRID_FRAMES * GRID_FRAMES)
