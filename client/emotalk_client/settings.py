"""What a caller may ask for, once, for both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio import AudioSource, load
from emotalk_client.planner import Layout
from emotalk_ensemble.contract import limits, tensors
from emotalk_ensemble.contract.errors import AudioTooShort, InvalidStyle, LevelOutOfRange, PersonOutOfRange
from emotalk_ensemble.contract.options import Options
from emotalk_ensemble.contract.recipe import Recipe

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack


class AnimateOptions(TypedDict, total=False):
    """Keywords of ``animate`` and ``stream``; the defaults are those of :class:`Settings`."""

    level: float
    """Emotion level 0..1."""
    person: int
    """Speaking style 0..23."""
    style: Sequence[float] | Mapping[int, float] | None
    """A blend of persons instead: 24 weights, or person to weight, that sum to 1."""
    emotion_audio: AudioSource | None
    """Another clip to take the emotion from."""
    emotion_sample_rate: int | None
    """Hertz, where that clip is an array."""
    smooth: bool
    blink: bool
    clamp: bool
    raw: bool
    seed: int
    gains: Mapping[str, float]
    offsets: Mapping[str, float]
    """Post-processing: see :data:`emotalk_ensemble.contract.options.DESCRIPTIONS`."""
    window: float
    """Seconds of one window."""
    overlap: float | None
    """Seconds that neighbouring windows share; None: what the served model needs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One call's :class:`AnimateOptions`, checked."""

    level: float = limits.DEFAULT_LEVEL
    person: int = limits.DEFAULT_PERSON
    style: Sequence[float] | Mapping[int, float] | None = None
    emotion_audio: AudioSource | None = None
    emotion_sample_rate: int | None = None
    smooth: bool = True
    blink: bool = True
    clamp: bool = True
    raw: bool = False
    seed: int = limits.DEFAULT_SEED
    gains: Mapping[str, float] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)
    window: float = limits.WINDOW_S
    overlap: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 1:
            raise LevelOutOfRange(f"level is {self.level}; accepted: 0..1")
        if not 0 <= self.person < limits.PERSONS:
            raise PersonOutOfRange(f"person is {self.person}; accepted: 0..{limits.PERSONS - 1}")
        if self.style is not None and self.person != limits.DEFAULT_PERSON:
            raise InvalidStyle("person and style are both given; accepted: one of them")
        self.options()
        self.layout(Recipe())

    def options(self) -> Options:
        """The post-processing options."""
        return Options(**{f.name: getattr(self, f.name) for f in fields(Options)})

    def layout(self, recipe: Recipe) -> Layout:
        """How windows lie for a model of ``recipe``.

        An overlap that was given is shared out as the model's own would be. The model's own takes at most half of a
        window, so that short windows still move on.
        """
        before, after = recipe.context_before_s, recipe.look_ahead_s
        needed = before + after
        overlap = min(needed, self.window / 2) if self.overlap is None else self.overlap
        share = before / needed if needed else 0.5
        return Layout.of_seconds(self.window, overlap * share, overlap * (1 - share))

    def inputs(self) -> dict[str, NDArray[Any]]:
        """The tensors that go with every window, each with its batch axis.

        Raises:
            AudioError, InvalidRequest: the style is none, or the emotion clip cannot be used.
        """
        sent: dict[str, NDArray[Any]] = {tensors.LEVEL.name: np.array([[self.level]], np.float32)}
        if self.style is None:
            sent[tensors.PERSON.name] = np.array([[self.person]], np.int32)
        else:
            sent[tensors.STYLE.name] = _style(self.style)[None]
        if self.emotion_audio is not None:
            clip = load(self.emotion_audio, self.emotion_sample_rate)
            check_length(clip, "the emotion clip")
            sent[tensors.EMOTION_AUDIO.name] = clip[None]
        return sent


def check_length(clip: NDArray[np.float32], name: str) -> None:
    """Raise :class:`AudioTooShort` for fewer samples than the networks can take."""
    if len(clip) < limits.MIN_SAMPLES:
        raise AudioTooShort(
            f"{name} has {len(clip)} samples at 16 kHz; accepted: at least {limits.MIN_SAMPLES} (0.045 s)"
        )


def _style(style: Sequence[float] | Mapping[int, float]) -> NDArray[np.float32]:
    weights = np.zeros(limits.PERSONS, np.float32)
    if isinstance(style, Mapping):
        for person, weight in style.items():
            if not 0 <= person < limits.PERSONS:
                raise PersonOutOfRange(f"style names person {person}; accepted: 0..{limits.PERSONS - 1}")
            weights[person] = weight
    elif len(style) == limits.PERSONS:
        weights[:] = style
    else:
        raise InvalidStyle(f"style has {len(style)} weights; accepted: {limits.PERSONS}")
    return weights
