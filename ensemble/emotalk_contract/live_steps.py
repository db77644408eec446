"""The steps of a live stream: which samples a step sends, and which frames come of it. Pure arithmetic.

A network that streams (:attr:`~emotalk_contract.recipe.Recipe.streams`) is convolutions of known reach: what a step has
to compute is its new features, and what it has to know of the past is a state of fixed size, which travels with the
caller. Feature k is centred on sample ``320 k`` and hears ``lead`` samples to either side of it. A step that brings the
features ``first .. first + n - 1`` sends the samples from ``320 first - lead`` to ``320 (first + n - 1) + lead``, with
zeros before the stream's beginning: the overlap of two steps is cheaper to send again than to keep.

Frame f lies at feature ``5 f / 3``; its raw weights are final once the feature ``ceil(5 f / 3) + ahead`` is there.
Smoothing takes two neighbours on either side, so that a smoothed frame is final with the frame after the next.

At the end of the stream, what looks ahead sees zeros, as at the end of a clip; the last step gives all frames that are
left. It brings one feature at least: one that lies beyond the stream's end counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import tensors
from emotalk_contract.limits import MIN_SAMPLES
from emotalk_contract.timing import FEATURE_HOP, GRID_FEATURES, GRID_FRAMES, feature_count, frame_count

SMOOTHED_ROWS = 5
"""Frames that the first smoothed one depends on."""
NEIGHBOURS = 2
"""Frames of the future that smoothing takes."""
PROMPT_NEIGHBOURS = 1
"""Those that a prompt stream waits for: the farther, whose weight is 3/35, it takes as it is known by then."""
PROMPT_PARAMETER = "prompt"
"""Request parameter of a step: frames come one earlier, and up to 0.03 from what they will have been."""
_FAR = 2.0**20
"""Rows from which on it does not matter how far away a stream's beginning is: exact as float32."""
_DRAIN_OF_ONE = 2
"""Features beyond the step's own that the first provisional frame lies on."""
MAX_STEP_FEATURES = 250
"""Of one request: 5 s, for catching up, and for starting again from the sound that a caller kept."""


@dataclass(frozen=True, slots=True)
class StepReach:
    """The reach of a network that streams."""

    lead: int
    """Samples on either side of a feature's centre that it hears."""
    ahead: int
    """Features of the future that a frame's raw weights depend on."""
    emotion_ahead: int
    """Frames of the future that its emotion depends on: no later than those features."""

    def features(self, samples: int) -> int:
        """Return how many features are final once ``samples`` have been spoken."""
        return max(0, (samples - self.lead) // FEATURE_HOP + 1)

    def span(self, first: int, features: int) -> tuple[int, int]:
        """Return (first sample, samples) of the step that brings ``features`` features from ``first`` on.

        The first sample is negative at the beginning of a stream: zeros.
        """
        return first * FEATURE_HOP - self.lead, samples_of(self.lead, features)

    def known(self, features: int) -> int:
        """Return the frames whose raw weights are final, when there are ``features`` features.

        Negative before the first: by as many as are still missing.
        """
        return (features - 1 - self.ahead) * GRID_FRAMES // GRID_FEATURES + 1

    def needed(self, known: int) -> int:
        """Return the fewest features with which the raw weights of ``known`` frames (1 or more) are final."""
        return -(-(known - 1) * GRID_FEATURES // GRID_FRAMES) + 1 + self.ahead

    def spoken(self, features: int) -> int:
        """Return the samples that must have been spoken for ``features`` features (1 or more)."""
        return (features - 1) * FEATURE_HOP + self.lead


@dataclass(frozen=True, slots=True)
class Step:
    """A step's place in its stream."""

    reach: StepReach
    first: int
    """Features before it."""
    features: int
    """That it brings."""
    drain: int
    """Features that are computed beyond them."""
    provisional: int
    """Frames beyond those that become final."""
    samples: int | None = None
    """Of the whole stream, in its last step."""

    @classmethod
    def within(cls, reach: StepReach, first: int, features: int, *, prompt: bool = False) -> Step:
        """Return the step that brings ``features`` features after ``first``, with more to come."""
        before, known = reach.known(first), reach.known(first + features)
        provisional = 0
        if prompt and known > PROMPT_NEIGHBOURS:
            provisional = max(1, SMOOTHED_ROWS - known)
        elif known == before:
            provisional = 1  # the graph wants a frame at least
        drain = reach.ahead if provisional > 1 else _DRAIN_OF_ONE * provisional
        return cls(reach, first, features, drain, provisional)

    @classmethod
    def last(cls, reach: StepReach, first: int, samples: int) -> Step:
        """Return the step that ends a stream of ``samples`` samples, ``first`` features of which have been sent."""
        features = max(1, features_in_all(samples) - first)
        provisional = frames_in_all(samples) - reach.known(first + features)
        return cls(reach, first, features, reach.ahead, max(0, provisional), samples)

    def span(self) -> tuple[int, int]:
        """Return (first sample, samples) of its AUDIO."""
        return self.reach.span(self.first, self.features)

    @property
    def known_before(self) -> int:
        """The frames that were final before; negative where some are still missing to the first."""
        return self.reach.known(self.first)

    @property
    def known(self) -> int:
        """Those that are now."""
        return self.reach.known(self.first + self.features)

    def inputs(self) -> dict[str, NDArray[np.float32]]:
        """Return what the graph wants to know of its place, each [1, …], by the names of the contract."""
        now = self.first + self.features
        if self.samples is None:
            features, frames = now, frame_count(max(0, (now - 1) * FEATURE_HOP + self.reach.lead))
        else:
            features, frames = features_in_all(self.samples), frames_in_all(self.samples)
        frame = np.arange(self.known_before, self.known + self.provisional)
        final = self.known - self.known_before
        rows = self._positions(frame, features)
        bounds = (-self.first, features - self.first, -self.known_before, frames - self.known_before)
        return {
            tensors.BOUNDS.name: np.maximum(np.array([bounds], np.float32), -_FAR),
            tensors.DRAIN.name: np.zeros((1, self.drain), np.float32),
            tensors.STEP_POSITIONS.name: rows[:, :final],
            tensors.DRAIN_POSITIONS.name: rows[:, final:],
            tensors.STEP_EMOTION_POSITIONS.name: self._positions(frame + self.reach.emotion_ahead, features),
        }

    def _positions(self, frame: NDArray[np.int64], features: int) -> NDArray[np.float32]:
        # In whole thirds of a feature, so that a stream of years is as exact as its first second.
        thirds = np.clip(frame * GRID_FEATURES, 0, (features - 1) * GRID_FRAMES) - self.first * GRID_FRAMES
        result: NDArray[np.float32] = (thirds / GRID_FRAMES).astype(np.float32)[None]
        return result


def features_in_all(samples: int) -> int:
    """Return the features of a stream that ends after ``samples``."""
    return feature_count(max(samples, MIN_SAMPLES))


def samples_of(lead: int, features: int) -> int:
    """Return the length of a step's AUDIO that brings ``features`` features."""
    return (features - 1) * FEATURE_HOP + 2 * lead


def settled(known: int, *, smooth: bool, prompt: bool) -> int:
    """Return the frames that can be handed out when ``known`` raw ones are final, in mid-stream."""
    if not smooth:
        return max(0, known)
    if known < SMOOTHED_ROWS and not prompt:
        return 0
    return max(0, known - (PROMPT_NEIGHBOURS if prompt else NEIGHBOURS))


def known_for(frames: int, *, smooth: bool, prompt: bool) -> int:
    """Return how many raw frames must be final for ``frames`` (1 or more) to be handed out: :func:`settled`, undone."""
    if not smooth:
        return frames
    return frames + PROMPT_NEIGHBOURS if prompt else max(SMOOTHED_ROWS, frames + NEIGHBOURS)


def frames_in_all(samples: int) -> int:
    """Return the frames of a stream that ends after ``samples``, as the network sees it."""
    return frame_count(max(samples, MIN_SAMPLES))
