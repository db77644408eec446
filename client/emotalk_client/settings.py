"""The options of a call, once, for both clients."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.loading import AudioSource, load
from emotalk_client.windows.planner import Layout, grid_ceil, grid_floor
from emotalk_contract import limits, tensors
from emotalk_contract.emotion_curve import EmotionKey
from emotalk_contract.errors import (
    AudioTooLong,
    AudioTooShort,
    InvalidOption,
    InvalidRequest,
    InvalidStyle,
    InvalidWindow,
    LevelOutOfRange,
    PersonOutOfRange,
)
from emotalk_contract.options import Options
from emotalk_contract.quoting import quoted
from emotalk_contract.recipe import Recipe
from emotalk_contract.regions import reach
from emotalk_contract.timing import FPS, SAMPLE_RATE

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack

SMOOTHING_S = 2 / FPS
"""Seconds that smoothing looks back and ahead: Savitzky-Golay's window of 5 frames has two neighbours on each side."""

_OF_STYLE = "a person of the style"
_SEEDS = f"an integer in 0..{limits.MAX_SEED}"


class FaceOptions(TypedDict, total=False):
    """Keywords of ``animate``, ``stream`` and ``live``; the defaults are those of :class:`FaceSettings`."""

    level: float
    """Emotion level 0..1."""
    person: int
    """Speaking style, from 0 to one less than the served model has."""
    style: Sequence[float] | Mapping[int, float] | None
    """A blend of persons instead: a weight for each of them, or person to weight, that sum to 1."""
    emotion_audio: AudioSource | None
    """Another clip to take the emotion from."""
    emotion_sample_rate: int | None
    """Hertz, where that clip is an array."""
    smooth: bool
    blink: bool
    clamp: bool
    raw: bool
    seed: int
    emotions: Mapping[str, float] | None
    emotion_keys: Sequence[EmotionKey] | None
    emotion_transition: float
    emotion_strength: float
    region: Mapping[str, float] | None
    gains: Mapping[str, float] | None
    offsets: Mapping[str, float] | None
    """Post-processing: see :data:`emotalk_contract.options.DESCRIPTIONS`."""


class AnimateOptions(FaceOptions, total=False):
    """Keywords of ``animate`` and ``stream``; the defaults are those of :class:`Settings`."""

    window: float | None
    """Seconds of one window, rounded up to the grid of 0.1 s; a clip that fits goes in one. None: what the served model
    needs."""
    overlap: float | None
    """Seconds that neighbouring windows share, before and after in the proportion that the served model needs.

    None: what that model needs, and two frames more on each side for smoothing, and before as many as the filters of
    ``region`` look back. 0: windows know nothing of their neighbours' sound, and the two frames on each side of a cut
    are smoothed as a clip's first and last are; from 0.1 s on, every kept frame has its neighbours.
    """


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """One call's :class:`FaceOptions`, checked."""

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
    emotions: Mapping[str, float] | None = field(default_factory=dict)
    emotion_keys: Sequence[EmotionKey] | None = ()
    emotion_transition: float = limits.DEFAULT_EMOTION_TRANSITION_S
    emotion_strength: float = 1.0
    region: Mapping[str, float] | None = field(default_factory=dict)
    gains: Mapping[str, float] | None = field(default_factory=dict)
    offsets: Mapping[str, float] | None = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("emotions", "region", "gains", "offsets"):
            object.__setattr__(self, name, _plain_amounts(getattr(self, name)))
        for name in ("emotion_transition", "emotion_strength"):
            object.__setattr__(self, name, _as_float(getattr(self, name)))
        object.__setattr__(self, "emotion_keys", plain_keys(self.emotion_keys))
        object.__setattr__(self, "seed", _integer(self.seed, InvalidOption, f"seed is {{}}; accepted: {_SEEDS}"))
        if not (is_number(self.level) and 0 <= self.level <= 1):  # NaN fails too
            raise LevelOutOfRange(f"level is {quoted(self.level)}; accepted: 0..1")
        object.__setattr__(self, "person", _person(self.person, "person"))
        if self.style is not None:
            if self.person != limits.DEFAULT_PERSON:
                raise InvalidStyle("person and style are both given; accepted: one of them")
            _check_style(self.style)
        self.options()

    def options(self) -> Options:
        """Return the post-processing options."""
        return Options(**{f.name: getattr(self, f.name) for f in fields(Options)})

    @property
    def filtered_s(self) -> float:
        """Seconds that the filters of regions look back."""
        return 0.0 if self.raw else reach(self.region or {}) / FPS

    def inputs(self, recipe: Recipe) -> dict[str, NDArray[Any]]:
        """Return the tensors that go with every window to a model of ``recipe``, each with its batch axis.

        Raises:
            AudioError, InvalidRequest: the model does not have that person or style, or the emotion clip cannot be
                used.
        """
        sent: dict[str, NDArray[Any]] = {}
        if recipe.emotional or self.level != limits.DEFAULT_LEVEL:  # where it has no meaning, the server says so
            sent[tensors.LEVEL.name] = np.array([[self.level]], np.float32)
        if self.style is None:
            sent[tensors.PERSON.name] = np.array([[_known(self.person, "person", recipe)]], np.int32)
        else:
            sent[tensors.STYLE.name] = _style(self.style, recipe)[None]
        if self.emotion_audio is not None:
            clip = load(self.emotion_audio, self.emotion_sample_rate)
            check_length(clip, "the emotion clip")
            if len(clip) > limits.MAX_SAMPLES:
                raise AudioTooLong(
                    f"the emotion clip is {len(clip) / SAMPLE_RATE:.1f} s long; accepted: at most "
                    f"{limits.MAX_SAMPLES / SAMPLE_RATE:.1f} s, for it goes with every window whole"
                )
            sent[tensors.EMOTION_AUDIO.name] = clip[None]
        return sent


@dataclass(frozen=True, slots=True)
class Settings(FaceSettings):
    """One call's :class:`AnimateOptions`, checked."""

    window: float | None = None
    overlap: float | None = None

    def __post_init__(self) -> None:
        FaceSettings.__post_init__(self)  # super() does not survive slots=True
        for name in ("window", "overlap"):
            if not (getattr(self, name) is None or is_number(getattr(self, name))):
                raise InvalidWindow(f"the {name} is {quoted(getattr(self, name))}; accepted: seconds, or None")
        self.layout(Recipe())

    def layout(self, recipe: Recipe) -> Layout:
        """Return how windows lie for a model of ``recipe``.

        An overlap that was given is shared out as the model's own would be, and rounded up to the grid. The model's own
        is its context, and, for frames that are to be smoothed, the two neighbours that smoothing looks at, and as many
        before as the filters of regions do: these must have their context too. It takes at most half of a window, so
        that short windows still move on.
        """
        window = recipe.window_s if self.window is None else self.window
        before, after = recipe.context_before_s, recipe.look_ahead_s
        share = before / (before + after) if before + after else 0.5
        if self.overlap is not None:
            return Layout.of_seconds(window, self.overlap * share, self.overlap * (1 - share))
        if self.smooth and not self.raw:
            before, after = before + SMOOTHING_S, after + SMOOTHING_S
        before += self.filtered_s
        whole = Layout.of_seconds(window, 0, 0)
        wanted = grid_ceil(before), grid_ceil(after)
        most = whole.window / FPS / 2
        if sum(wanted) > grid_floor(most):
            wanted = grid_floor(most * share), grid_floor(most * (1 - share))
        return Layout(whole.window, *wanted)


def check_length(clip: NDArray[np.float32], name: str) -> None:
    """Raise :class:`AudioTooShort` for fewer samples than the networks can take."""
    if len(clip) < limits.MIN_SAMPLES:
        raise AudioTooShort(
            f"{name} has {len(clip)} samples at 16 kHz; accepted: at least {limits.MIN_SAMPLES} (0.045 s)"
        )


def _weights(style: Sequence[float] | Mapping[int, float]) -> Iterable[tuple[int, float]]:
    return style.items() if isinstance(style, Mapping) else enumerate(style)


def _check_style(style: Sequence[float] | Mapping[int, float]) -> None:
    """Raise for what is not a style of any model."""
    for person, weight in _weights(style):
        if not (is_number(weight) and 0 <= weight <= 1):
            raise InvalidStyle(f"style gives person {quoted(person)} the weight {quoted(weight)}; accepted: 0..1")
        _person(person, _OF_STYLE)


def _style(style: Sequence[float] | Mapping[int, float], recipe: Recipe) -> NDArray[np.float32]:
    """[styles]; whether they sum to 1 is for the server to say, which owns the tolerance."""
    if not isinstance(style, Mapping) and len(style) != recipe.styles:
        raise InvalidStyle(f"style has {len(style)} weights; accepted: {recipe.styles}, one for each of the model's")
    weights = np.zeros(recipe.styles, np.float32)
    for person, weight in _weights(style):
        weights[_known(_person(person, _OF_STYLE), _OF_STYLE, recipe)] = weight
    return weights


def _person(value: object, name: str) -> int:
    said = f"{name} is {{}}; accepted: an integer from 0 to one less than the served model has"
    person = _integer(value, PersonOutOfRange, said)
    if not 0 <= person < limits.MAX_PERSONS:
        raise PersonOutOfRange(said.format(quoted(person)))
    return person


def _known(person: int, name: str, recipe: Recipe) -> int:
    """Return ``person`` if a model of ``recipe`` has it."""
    if person >= recipe.styles:
        raise PersonOutOfRange(f"{name} is {quoted(person)}; accepted: 0..{recipe.styles - 1}")
    return person


def _integer(value: object, error: type[InvalidRequest], said: str) -> int:
    """Return ``value`` if it is a whole number, NumPy's included; a bool or a fraction is not one."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise error(said.format(quoted(value)))
    return operator.index(value)


def _plain_amounts(values: Mapping[str, float] | None) -> dict[str, float]:
    """Return ``values`` by name with NumPy's numbers as Python's, as JSON takes them; others are refused later."""
    if values is not None and not isinstance(values, Mapping):
        return values
    return {name: _as_float(value) for name, value in (values or {}).items()}


def plain_keys(keys: Sequence[EmotionKey] | None) -> Sequence[EmotionKey]:
    """Return ``keys`` with NumPy's numbers as Python's, likewise."""
    if keys is None or isinstance(keys, str) or not isinstance(keys, Sequence):
        return keys or ()
    return tuple(
        {**key, "time": _as_float(key["time"]), "emotions": _plain_amounts(key["emotions"])}
        if isinstance(key, Mapping) and isinstance(key.get("emotions"), Mapping) and "time" in key
        else key
        for key in keys
    )


def _as_float(value: Any) -> Any:
    try:
        return float(value) if is_number(value) else value
    except OverflowError:  # an integer of hundreds of digits
        return value


def is_number(value: object) -> bool:
    """True for a real number, NumPy's included; a bool is not one."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
