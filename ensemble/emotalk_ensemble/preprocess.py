"""From requests to the networks' inputs: checks, defaults, normalisation, frame grid. Pure functions on arrays.

Two clips, one frontend. When the emotion is to come from another clip, that clip follows the speech in one signal; the
convolutional frontend is local, so the features of the second part are those of the second clip alone, and the emotion
encoder's positions simply point there. Without an emotion clip this costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import limits, tensors
from emotalk_contract.clip_statistics import statistics_of, statistics_width
from emotalk_contract.errors import (
    AudioNotFinite,
    AudioOutOfRange,
    AudioTooLong,
    AudioTooShort,
    InputWithoutMeaning,
    InvalidShape,
    InvalidStatistics,
    InvalidStyle,
    InvalidWindow,
    LevelOutOfRange,
    PersonOutOfRange,
)
from emotalk_contract.loudness import levelled
from emotalk_contract.options import Options
from emotalk_contract.recipe import Recipe
from emotalk_contract.tensors import Tensor
from emotalk_contract.timing import (
    FEATURE_HOP,
    GRID_FRAMES,
    SAMPLE_RATE,
    FrameGrid,
    Positions,
    Window,
    borrowed_emotion,
    frame_count,
    frame_grid,
)

Arrays: TypeAlias = dict[str, NDArray[Any]]

STYLE_SUM_TOLERANCE = 1e-3
"""Distance from 1 that the sum of a style's weights may have (float32 callers round)."""


def preprocess(inputs: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any], recipe: Recipe) -> Arrays:
    """Return the outputs of ``emotalk_preprocess`` for one request.

    Args:
        inputs: the request's tensors by name, each with its batch axis first ([B, samples], [B, 1], ...).
        parameters: the request's post-processing options; only checked here, so that a mistake costs no computing.
        recipe: what the served weights need.

    Raises:
        InvalidRequest: the subclass that names what is wrong.
    """
    Options.parse(parameters)
    audio = checked_audio(inputs[tensors.AUDIO.name], tensors.AUDIO, recipe)
    batch = len(audio)
    given = partial(optional, inputs, batch=batch, recipe=recipe)
    if not recipe.emotional:
        _refuse(inputs, (tensors.LEVEL, tensors.EMOTION_AUDIO))
    emotion = given(tensors.EMOTION_AUDIO)
    if emotion is not None:
        emotion = checked_audio(emotion, tensors.EMOTION_AUDIO, recipe)
    statistics = _statistics(given(tensors.CLIP_STATS), recipe)
    windows = _windows(audio.shape[1], batch, given(tensors.START_FRAME), given(tensors.CLIP_SAMPLES))

    if tensors.START_FRAME.name not in inputs:  # a whole clip; who cuts one into windows levels it before
        audio = _levelled(audio, recipe)
    if statistics is None and recipe.normalisation != "none":
        statistics = statistics_of(audio, recipe.normalisation)
    signal = _normalised(audio, statistics, recipe)
    emotion_samples = first_feature = None
    if emotion is not None:
        first_feature = _ceil_features(audio.shape[1]) + _ceil_features(
            math.ceil(recipe.frontend_context_s * SAMPLE_RATE)
        )
        emotion_samples = emotion.shape[1]
        gap = np.zeros((batch, first_feature * FEATURE_HOP - audio.shape[1]), np.float32)
        emotion = _levelled(emotion, recipe)
        signal = np.concatenate([signal, gap, _normalised(emotion, statistics_of(emotion), recipe)], axis=1)
    grids = [_positions(window, recipe.frame_grid, emotion_samples, first_feature) for window in windows]
    outputs = {
        tensors.NETWORK_AUDIO.name: signal,
        tensors.CONTENT_POSITIONS.name: _stack([grid.content for grid in grids]),
        tensors.STYLE_CODE.name: style_code(given(tensors.PERSON), given(tensors.STYLE), batch, recipe),
    }
    if recipe.normalisation == "patches" and statistics is not None:
        outputs[tensors.STATISTICS.name] = statistics
    if recipe.emotional:
        outputs[tensors.EMOTION_POSITIONS.name] = _stack([grid.emotion for grid in grids])
        outputs[tensors.EMOTION_FRAME_POSITIONS.name] = _stack([grid.emotion_frame for grid in grids])
        outputs[tensors.LEVEL_CODE.name] = level_code(given(tensors.LEVEL), batch)
    return outputs


def _refuse(inputs: Mapping[str, NDArray[Any]], without_meaning: Iterable[Tensor]) -> None:
    for tensor in without_meaning:
        if tensor.name in inputs:
            raise InputWithoutMeaning(
                f"{tensor.name} is given, and the served model has no emotions in its network; accepted: a request "
                "without it (the request parameter `emotions` acts on every model's face)"
            )


def optional(inputs: Mapping[str, NDArray[Any]], tensor: Tensor, batch: int, recipe: Recipe) -> NDArray[Any] | None:
    """Return the tensor if the request has it, with as many items as the audio."""
    array = inputs.get(tensor.name)
    if array is None:
        return None
    sizes: dict[int | str, int] = {"styles": recipe.styles, "statistics": statistics_width(recipe.normalisation)}
    axes = [sizes.get(axis, axis) for axis in tensor.axes]
    fits = array.ndim == 1 + len(axes) and len(array) == batch
    if not fits or any(isinstance(e, int) and e != n for e, n in zip(axes, array.shape[1:], strict=True)):
        accepted = ", ".join(str(axis) for axis in (batch, *axes))
        raise InvalidShape(f"{tensor.name} has shape {list(array.shape)}; accepted: [{accepted}]")
    return array


def checked_audio(audio: NDArray[Any], tensor: Tensor, recipe: Recipe) -> NDArray[np.float32]:
    """Return ``audio`` [B, samples] as float32.

    Raises:
        InvalidShape, AudioTooShort, AudioTooLong, AudioNotFinite, AudioOutOfRange: it is not audio for a request.
    """
    if audio.ndim != 2:
        raise InvalidShape(f"{tensor.name} has shape {list(audio.shape)}; accepted: [batch, samples]")
    samples = audio.shape[1]
    if samples < recipe.min_samples:
        raise AudioTooShort(
            f"{tensor.name} has {samples} samples; accepted: at least {recipe.min_samples} "
            f"({recipe.min_samples / SAMPLE_RATE:.3f} s at {SAMPLE_RATE} Hz)"
        )
    if frame_count(samples) > limits.MAX_FRAMES:
        raise AudioTooLong(
            f"{tensor.name} has {samples} samples ({samples / SAMPLE_RATE:.1f} s); accepted: at most "
            f"{limits.MAX_SAMPLES} ({limits.MAX_FRAMES} frames). Send longer clips as windows"
        )
    finite = np.isfinite(audio)
    if not finite.all():
        item, sample = np.argwhere(~finite)[0]
        raise AudioNotFinite(
            f"{tensor.name} is {audio[item, sample]} at sample {sample}; accepted: finite numbers in -1..1"
        )
    peak = float(np.abs(audio).max())
    if peak > limits.MAX_AMPLITUDE:
        raise AudioOutOfRange(f"{tensor.name} reaches {peak:g}; accepted: -1..1 (divide 16-bit integers by 32768)")
    return np.ascontiguousarray(audio, dtype=np.float32)


def _statistics(statistics: NDArray[Any] | None, recipe: Recipe) -> NDArray[np.float32] | None:
    if statistics is None:
        return None
    if recipe.normalisation == "patches":
        if not np.isfinite(statistics).all():
            bad = statistics[~np.isfinite(statistics)][0]
            raise InvalidStatistics(f"CLIP_STATS has {bad} in it; accepted: {statistics.shape[1]} finite numbers")
        return np.ascontiguousarray(statistics, np.float32)
    for mean, variance in statistics:
        if not (math.isfinite(mean) and math.isfinite(variance) and variance >= 0):
            raise InvalidStatistics(
                f"CLIP_STATS is [{mean}, {variance}]; accepted: a finite mean and a finite variance >= 0"
            )
    return np.ascontiguousarray(statistics, np.float32)


def _levelled(audio: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float32]:
    return np.stack([levelled(clip) for clip in audio]) if recipe.levelled else audio


def _normalised(
    audio: NDArray[np.float32], statistics: NDArray[np.float32] | None, recipe: Recipe
) -> NDArray[np.float32]:
    if recipe.normalisation != "clip" or statistics is None:
        return audio
    mean, variance = statistics[:, :1], statistics[:, 1:]
    normalised: NDArray[np.float32] = (audio - mean) / np.sqrt(variance + np.float32(limits.NORMALISATION_EPSILON))
    return normalised


def _windows(
    samples: int, batch: int, start_frames: NDArray[Any] | None, clip_samples: NDArray[Any] | None
) -> list[Window]:
    if start_frames is None and clip_samples is None:
        return [Window.whole(samples)] * batch
    starts = [0] * batch if start_frames is None else [int(start) for start in start_frames[:, 0]]
    clips = [None] * batch if clip_samples is None else [int(clip) for clip in clip_samples[:, 0]]
    return [_window(samples, start, clip) for start, clip in zip(starts, clips, strict=True)]


def _window(samples: int, start_frame: int, clip_samples: int | None) -> Window:
    last = limits.MAX_START_FRAME
    if not 0 <= start_frame <= last or start_frame % GRID_FRAMES:
        raise InvalidWindow(f"START_FRAME is {start_frame}; accepted: a multiple of {GRID_FRAMES} in 0..{last}")
    window = Window(samples, start_frame, clip_samples)
    end = window.start_sample + samples
    if clip_samples is not None and not end <= clip_samples <= limits.MAX_CLIP_SAMPLES:
        raise InvalidWindow(
            f"CLIP_SAMPLES is {clip_samples}; accepted: {end} (where this window ends) to {limits.MAX_CLIP_SAMPLES}"
        )
    return window


def _positions(window: Window, grid: FrameGrid, emotion_samples: int | None, first_feature: int | None) -> Positions:
    if emotion_samples is None or first_feature is None:
        return frame_grid(window, grid)
    return borrowed_emotion(window, emotion_samples, first_feature, grid)


def _ceil_features(samples: int) -> int:
    return -(-samples // FEATURE_HOP)


def _stack(rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len({len(row) for row in rows}) > 1:
        raise InvalidWindow(
            "the windows of one batch have different numbers of frames or emotion steps "
            f"({sorted({len(row) for row in rows})}); accepted: equal ones (send them as separate requests)"
        )
    return np.stack(rows)


def level_code(level: NDArray[Any] | None, batch: int) -> NDArray[np.float32]:
    """Return LEVEL_CODE [B, 2] of ``level`` [B, 1]; None: the default.

    Raises:
        LevelOutOfRange: outside 0..1.
    """
    if level is None:
        level = np.full((batch, 1), limits.DEFAULT_LEVEL, np.float32)
    for value in level[:, 0]:
        if not 0 <= value <= 1:  # NaN fails too
            raise LevelOutOfRange(f"LEVEL is {value}; accepted: 0..1")
    code: NDArray[Any] = np.concatenate([1 - level, level], axis=1)
    return code.astype(np.float32)


def style_code(
    person: NDArray[Any] | None, style: NDArray[Any] | None, batch: int, recipe: Recipe
) -> NDArray[np.float32]:
    """Return STYLE_CODE [B, styles] of ``person`` [B, 1] or ``style`` [B, styles]; neither: the default person.

    Raises:
        InvalidStyle: both are given, or a blend that is none.
        PersonOutOfRange: a person who does not exist.
    """
    if style is not None:
        if person is not None:
            raise InvalidStyle("PERSON and STYLE are both given; accepted: one of them")
        for row in style:
            if not (np.isfinite(row).all() and (row >= 0).all() and abs(row.sum() - 1) <= STYLE_SUM_TOLERANCE):
                raise InvalidStyle(
                    f"STYLE sums to {row.sum():g} with a smallest weight of {row.min():g}; "
                    f"accepted: {recipe.styles} weights >= 0 that sum to 1"
                )
        return np.ascontiguousarray(style, np.float32)
    if person is None:
        person = np.full((batch, 1), limits.DEFAULT_PERSON)
    code = np.zeros((batch, recipe.styles), np.float32)
    for row, value in zip(code, person[:, 0], strict=True):
        if not 0 <= value < recipe.styles:
            raise PersonOutOfRange(f"PERSON is {value}; accepted: 0..{recipe.styles - 1}")
        row[value] = 1.0
    return code
