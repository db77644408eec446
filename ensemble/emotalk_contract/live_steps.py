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
MAX_STEP_FEATURES = 250
"""Of one request: 5 s, for catching up, and for starting again from the sound that a caller kept."""


@dataclass(frozen=True, slots=True)
class StepReach:
    """The reach of a network that streams."""

    lead: int
    """Samples on either side of a feature's centre that it hears."""
    ahead: int
    """Features of the future that a frame's raw weights depend on."""

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


def frames_in_all(samples: int) -> int:
    """Return the frames of a stream that ends after ``samples``, as the network sees it."""
    return frame_count(max(samples, MIN_SAMPLES))
