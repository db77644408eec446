"""Steps of live streams: requests of many callers at once, each with its own state, to frames and the next state.

Rule that this module guards: **a stream is its caller's.** Steps are computed together, and nothing of one reaches
another: each has its own row of every array, and each its own error.

Theory of operation. A request is read (:meth:`LiveSteps.read`), those of equal shapes run through the graph together,
and each stream's raw rows, behind the last ones of the step before, go through the same post-processing as a clip's.
Which of them are handed out, :func:`~emotalk_contract.live_steps.settled` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import tensors
from emotalk_contract.errors import InvalidOption, InvalidShape, InvalidState, InvalidWindow
from emotalk_contract.limits import MAX_CLIP_SAMPLES, MAX_START_FRAME
from emotalk_contract.live_steps import (
    MAX_STEP_FEATURES,
    PROMPT_PARAMETER,
    Step,
    StepReach,
    features_in_all,
    frames_in_all,
    samples_of,
    settled,
)
from emotalk_contract.options import Options
from emotalk_contract.quoting import quoted
from emotalk_contract.recipe import Recipe
from emotalk_contract.regions import reach
from emotalk_contract.timing import FEATURE_HOP, GRID_FRAMES, frame_count, timecodes
from emotalk_ensemble.exchange import Arrays, Refusal, guarded
from emotalk_ensemble.live_state import HISTORY, StateCodec, StreamState
from emotalk_ensemble.postprocess import face
from emotalk_ensemble.preprocess import checked_audio, level_code, optional, style_code

Run = Callable[[Arrays], Arrays]
"""The graph :data:`emotalk_contract.tensors.LIVE_GRAPH`."""

MOST_FEATURES = 512
"""Features of all streams that are computed at once: beyond that nothing is gained, and memory that the graph once took
is not given back."""


@dataclass(slots=True, eq=False)
class Request:
    """One stream's step, read."""

    state: StreamState
    step: Step
    options: Options
    prompt: bool
    inputs: Arrays
    """Of the graph, each [1, …]."""

    @property
    def shapes(self) -> tuple[int, ...]:
        """Sizes that requests which run together have in common."""
        step = self.step
        return step.features, step.known - step.known_before, step.drain, step.provisional


class LiveSteps:
    """The model ``emotalk_live``.

    Args:
        run: the graph.
        recipe: of the network.
        reach: of the same.
        codec: of its states.
    """

    def __init__(self, run: Run, recipe: Recipe, reach: StepReach, codec: StateCodec) -> None:
        self._run = run
        self._recipe = recipe
        self._reach = reach
        self._codec = codec

    def answers(self, requests: Sequence[Request | Refusal]) -> list[Arrays | Refusal]:
        """Return one answer a request, in order."""
        results: list[Arrays | Refusal] = [r if isinstance(r, Refusal) else _UNANSWERED for r in requests]
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, request in enumerate(requests):
            if not isinstance(request, Refusal):
                alike.setdefault(request.shapes, []).append(number)
        for shapes, numbers in sorted(alike.items()):
            most = max(1, MOST_FEATURES // shapes[0])
            for part in (numbers[i : i + most] for i in range(0, len(numbers), most)):
                together = [request for n in part if not isinstance(request := requests[n], Refusal)]
                for number, answer in zip(part, self._together(together), strict=True):
                    results[number] = answer
        return results

    def read(self, inputs: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Request:
        """Return the step that a request asks for.

        Raises:
            InvalidRequest: its subclass says what is wrong with it.
        """
        for name, array in inputs.items():
            if len(array) != 1:
                raise InvalidShape(f"{name} has a batch of {len(array)}; accepted: one stream a request")
        options, prompt = _options(parameters)
        given = partial(optional, inputs, batch=1, recipe=self._recipe)
        audio = checked_audio(inputs[tensors.STEP_AUDIO.name], tensors.STEP_AUDIO, self._recipe)
        state = self._state(given(tensors.STATE), given(tensors.STREAM_START))
        step = self._step(state, audio.shape[1], given(tensors.STREAM_SAMPLES), prompt=prompt)
        graph: Arrays = {
            tensors.STEP_AUDIO.name: audio,
            tensors.CACHE.name: state.cache[None],
            tensors.LEVEL_CODE.name: level_code(given(tensors.LEVEL), 1),
            tensors.STYLE_CODE.name: style_code(given(tensors.PERSON), given(tensors.STYLE), 1, self._recipe),
            **step.inputs(),
        }
        return Request(state, step, options, prompt, graph)

    def _state(self, content: NDArray[Any] | None, start: NDArray[Any] | None) -> StreamState:
        if content is not None:
            if start is not None:
                raise InvalidWindow("START_FRAME and STATE are both given; accepted: START_FRAME when a stream begins")
            return self._codec.read(content[0])
        first = 0 if start is None else int(start[0, 0])
        if not 0 <= first <= MAX_START_FRAME or first % GRID_FRAMES:
            raise InvalidWindow(
                f"START_FRAME is {first}; accepted: a multiple of {GRID_FRAMES} in 0..{MAX_START_FRAME}"
            )
        return self._codec.new(first)

    def _step(self, state: StreamState, samples: int, whole: NDArray[Any] | None, *, prompt: bool) -> Step:
        lead = self._reach.lead
        features, rest = divmod(samples - samples_of(lead, 0), FEATURE_HOP)
        if rest or not 1 <= features <= MAX_STEP_FEATURES:
            raise InvalidShape(
                f"AUDIO has {samples} samples; accepted: {samples_of(lead, 0)} and {FEATURE_HOP} for each of 1 to "
                f"{MAX_STEP_FEATURES} features"
            )
        if whole is None:
            return Step.within(self._reach, state.features, features, prompt=prompt)
        length = int(whole[0, 0])
        if not 1 <= length <= MAX_CLIP_SAMPLES:
            raise InvalidWindow(f"CLIP_SAMPLES is {length}; accepted: 1..{MAX_CLIP_SAMPLES}")
        left = features_in_all(length) - state.features
        if left < 0 or features != max(1, left):
            raise InvalidWindow(
                f"CLIP_SAMPLES is {length}: {features_in_all(length)} features, of which {state.features} were sent "
                f"before; AUDIO brings {features}; accepted: what is left, and one where nothing is"
            )
        return Step.last(self._reach, state.features, length)

    def _together(self, requests: Sequence[Request]) -> list[Arrays | Refusal]:
        """Run requests of equal shapes as one batch. If that fails, each runs alone."""
        outcome = guarded(lambda: self._rows(requests))
        if isinstance(outcome, Refusal):
            if len(requests) == 1:
                return [outcome]
            return [answer for request in requests for answer in self._together([request])]
        rows, caches = outcome[tensors.STEP_ROWS.name], outcome[tensors.NEXT_CACHE.name]
        return [
            guarded(lambda r=request, i=index: self._answer(r, rows[i], caches[i]))  # type: ignore[misc]
            for index, request in enumerate(requests)
        ]

    def _rows(self, requests: Sequence[Request]) -> Arrays:
        if len(requests) == 1:
            return self._run(requests[0].inputs)
        names = [tensor.name for tensor in tensors.LIVE_GRAPH.inputs]
        return self._run({name: np.concatenate([request.inputs[name] for request in requests]) for name in names})

    def _answer(self, request: Request, rows: NDArray[np.float32], cache: NDArray[np.float32]) -> Arrays:
        step, state = request.step, request.state
        # A forged state may hold numbers that are finite and grow beyond all bounds.
        if not (np.isfinite(rows).all() and np.isfinite(cache).all()):
            raise InvalidState("STATE holds what no step gives; accepted: what the step before gave, unchanged")
        wanted = HISTORY + (0 if request.options.raw else reach(request.options.region))
        history = state.history[-wanted:]
        rows = np.concatenate([history, rows])
        final = rows[: len(history) + step.known - step.known_before]
        begin = step.known_before - len(history)
        if begin < 0:
            rows, begin = rows[-begin:], 0
        if step.samples is not None:
            rows = rows[: frames_in_all(step.samples) - begin]
        end = _end(request)
        if not begin <= state.given <= end <= begin + len(rows):
            raise InvalidState("STATE holds what no step gives; accepted: what the step before gave, unchanged")
        weights = face(rows, state.start_frame + begin, request.options)[state.given - begin : end - begin]
        after = StreamState(state.start_frame, state.features + step.features, end, final[-wanted:], cache)
        return {
            tensors.STEP_BLENDSHAPES.name: weights[None],
            tensors.STEP_TIMECODES.name: timecodes(state.start_frame + state.given, len(weights))[None],
            tensors.NEXT_STATE.name: self._codec.written(after)[None],
        }


_UNANSWERED = Refusal("[InternalError] nothing was computed", "INTERNAL")


def _end(request: Request) -> int:
    """Return the frame after the last that is handed out."""
    step, options = request.step, request.options
    if step.samples is not None:
        return frame_count(step.samples)
    smooth = options.smooth and not options.raw
    return max(settled(step.known, smooth=smooth, prompt=request.prompt), request.state.given)


def _options(parameters: Mapping[str, Any]) -> tuple[Options, bool]:
    rest = dict(parameters)
    prompt = rest.pop(PROMPT_PARAMETER, False)
    if not isinstance(prompt, bool):
        raise InvalidOption(f"{PROMPT_PARAMETER} is {quoted(prompt)}; accepted: true or false")
    return Options.parse(rest), prompt
