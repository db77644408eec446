"""An export that proves itself: names, then shapes, then values, graph by graph and along the whole chain.

Theory of operation. A :class:`Trial` is a batch of clips on its way through the networks twice: once through
torch (``expected``), once through the exported graphs (``actual``). Tensors have the contract's names, by which one
graph's outputs become the next one's inputs. Every graph is judged on torch's inputs, so that a difference is its own;
and it also runs on what the graphs before it gave, so that the last one's output is the whole chain's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from emotalk_contract import tensors
from emotalk_contract.clip_statistics import statistics_of
from emotalk_contract.configs import axis_sizes, shape
from emotalk_contract.limits import NORMALISATION_EPSILON
from emotalk_contract.recipe import Precision, Recipe, Widths
from emotalk_contract.tensors import Model
from emotalk_contract.timing import GRID_FRAMES, SAMPLE_RATE, Window, frame_grid
from emotalk_export.errors import NamesDiffer, ShapesDiffer, ValuesDiffer

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest difference of a graph from torch."""

    graph: float
    """Of every output, as a share of its largest number (of 1 at least)."""
    chain: float
    """Of the weights (0..1) that the whole chain gives, absolute."""


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(graph=1e-4, chain=2e-5),
    # Against torch in float32: what half precision itself costs.
    "fp16": Tolerance(graph=5e-2, chain=2e-2),
    # Likewise; noise and murmur are harder than speech, on which the export reports apart.
    "int8": Tolerance(graph=5e-1, chain=1e-1),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A batch of windows with which graphs are tried."""

    window: Window
    batch: int


CASES: tuple[Case, ...] = (
    Case(Window.whole(SAMPLE_RATE), 3),
    Case(Window(2 * SAMPLE_RATE + 123, 10 * GRID_FRAMES, 5 * SAMPLE_RATE), 2),
    Case(Window(SAMPLE_RATE * 3 // 2, 20 * GRID_FRAMES, None), 1),
    Case(Window.whole(5 * SAMPLE_RATE + 1), 1),
)
"""A batch, a window of a longer clip, a window of a live stream, an odd length; the shortest clip is the recipe's."""


@dataclass(slots=True)
class Trial:
    """A case on its way through the networks."""

    sizes: dict[str, int]
    """Of every named axis."""
    batch: int
    expected: Arrays = field(repr=False)
    """Torch's tensors so far, by the contract's names."""
    actual: Arrays = field(repr=False)
    """The graphs' so far."""


def trials(widths: Widths, recipe: Recipe, cases: Sequence[Case] | None = None) -> list[Trial]:
    """The cases with what ``emotalk_preprocess`` would hand to the networks; the same on every machine."""
    running = []
    shortest = Case(Window.whole(recipe.min_samples), 1)
    for seed, case in enumerate((shortest, *CASES) if cases is None else cases):
        generator = np.random.Generator(np.random.PCG64(seed))
        audio = murmur(generator, case.batch, case.window.samples)
        running.append(_trial(audio, case.window, widths, recipe, generator))
    return running


def speech_trials(pieces: Sequence[NDArray[np.float32]], widths: Widths, recipe: Recipe) -> list[Trial]:
    """Speech [samples] each, as clips of their own, with levels and persons at random."""
    generator = np.random.Generator(np.random.PCG64(1 + len(CASES)))
    return [_trial(piece[None], Window.whole(len(piece)), widths, recipe, generator) for piece in pieces]


def _trial(
    audio: NDArray[np.float32], window: Window, widths: Widths, recipe: Recipe, generator: np.random.Generator
) -> Trial:
    """``audio`` [B, samples] before the networks."""
    batch = len(audio)
    level = generator.uniform(size=(batch, 1))
    style = generator.uniform(size=(batch, recipe.styles)) ** 4
    given = clip_inputs(audio, window, recipe, level, style / style.sum(1, keepdims=True))
    steps = given[tensors.EMOTION_POSITIONS.name].shape[1]
    sizes = axis_sizes(window.samples, widths) | {"frames": window.frames, "steps": steps}
    return Trial(sizes, batch, dict(given), dict(given))


def clip_inputs(
    audio: NDArray[np.float32],
    window: Window,
    recipe: Recipe,
    level: NDArray[np.floating[Any]],
    style: NDArray[np.floating[Any]],
) -> Arrays:
    """Return what ``emotalk_preprocess`` hands to the networks for ``audio`` [B, samples], each clip whole.

    ``level`` is [B, 1], ``style`` [B, styles], the share of each person.
    """
    batch = len(audio)
    statistics = statistics_of(audio, recipe.normalisation)
    if recipe.normalisation == "clip":
        wide = audio.astype(np.float64)
        mean, variance = wide.mean(1, keepdims=True), wide.var(1, keepdims=True)
        audio = ((audio - mean) / np.sqrt(variance + NORMALISATION_EPSILON)).astype(np.float32)
    grid = frame_grid(window, recipe.frame_grid)
    return {
        tensors.NETWORK_AUDIO.name: audio,
        tensors.STATISTICS.name: statistics,
        tensors.CONTENT_POSITIONS.name: np.tile(grid.content, (batch, 1)),
        tensors.EMOTION_POSITIONS.name: np.tile(grid.emotion, (batch, 1)),
        tensors.EMOTION_FRAME_POSITIONS.name: np.tile(grid.emotion_frame, (batch, 1)),
        tensors.LEVEL_CODE.name: np.concatenate([1 - level, level], 1).astype(np.float32),
        tensors.STYLE_CODE.name: style.astype(np.float32),
    }


def murmur(generator: np.random.Generator, batch: int, samples: int) -> NDArray[np.float32]:
    """Something with the rise and fall of speech, of another pitch for every item: [batch, samples], within -1..1."""
    t = np.arange(samples) / SAMPLE_RATE
    pitch = generator.uniform(90, 240, (batch, 1))
    voice = sum(np.sin(2 * np.pi * k * pitch * t + generator.uniform(0, 6, (batch, 1))) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * generator.uniform(3, 5, (batch, 1)) * t), 0, None)
    noise = generator.standard_normal((batch, samples))
    murmur: NDArray[np.float32] = (0.15 * syllables * voice + 0.01 * noise).astype(np.float32)
    return murmur


def torch_inputs(trial: Trial, model: Model) -> tuple[torch.Tensor, ...]:
    """Return the inputs of ``model`` in ``trial``, as torch has them."""
    return tuple(torch.from_numpy(trial.expected[tensor.name]) for tensor in model.inputs)


def run_torch(module: nn.Module, model: Model, trial: Trial) -> None:
    """Put the outputs of ``module`` into ``trial.expected``."""
    with torch.inference_mode():
        outputs = module(*torch_inputs(trial, model))
    if isinstance(outputs, torch.Tensor):
        outputs = (outputs,)
    for tensor, output in zip(model.outputs, outputs, strict=True):
        trial.expected[tensor.name] = output.numpy()


def validate_graph(path: Path, model: Model, running: Sequence[Trial], precision: Precision) -> dict[str, float]:
    """Compare the graph in ``path`` with torch on every trial; largest difference of each output.

    The trials must have been through :func:`run_torch`; their ``actual`` gets the graph's outputs.

    Raises:
        NamesDiffer: inputs or outputs are not the contract's.
        ShapesDiffer: a shape or type is not.
        ValuesDiffer: a number is further from torch's than the tolerance.
    """
    session = open_session(path)
    _check_names(session, model)
    largest = dict.fromkeys((tensor.name for tensor in model.outputs), 0.0)
    for trial in running:
        outputs = _run(session, model, trial.expected)
        _check_shapes(outputs, model, trial)
        for name, difference in _differences(outputs, model, trial, TOLERANCES[precision].graph):
            largest[name] = max(largest[name], difference)
        # Where no graph came before, torch stands in for it.
        trial.actual.update(_run(session, model, trial.expected | trial.actual))
    return largest


def validate_chain(running: Sequence[Trial], precision: Precision) -> float:
    """Compare what came out at the end of the whole chain; the largest difference.

    Raises:
        ValuesDiffer: it is above the tolerance.
    """
    name, allowed = tensors.RAW_BLENDSHAPES.name, TOLERANCES[precision].chain
    largest = max(_largest(trial.actual[name], trial.expected[name]) for trial in running)
    if not largest <= allowed:
        raise ValuesDiffer(
            f"the graphs together give {name} up to {largest:.3g} from torch's; accepted: {allowed:g}", largest
        )
    return largest


def channel_errors(running: Sequence[Trial]) -> NDArray[np.float64]:
    """Error of every raw weight at the end of the whole chain: [frames of all trials, 52]."""
    name = tensors.RAW_BLENDSHAPES.name
    parts = [np.abs(trial.actual[name].astype(np.float64) - trial.expected[name]) for trial in running]
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """The graph in ``path`` on the CPU."""
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False  # memory is given back between trials
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, model: Model, arrays: Arrays) -> Arrays:
    names = [tensor.name for tensor in model.outputs]
    return dict(zip(names, session.run(names, {t.name: arrays[t.name] for t in model.inputs}), strict=True))


def _check_names(session: onnxruntime.InferenceSession, model: Model) -> None:
    for kind, found, contract in (
        ("inputs", session.get_inputs(), model.inputs),
        ("outputs", session.get_outputs(), model.outputs),
    ):
        names, expected = [value.name for value in found], [tensor.name for tensor in contract]
        if names != expected:
            raise NamesDiffer(f"{model.name}: the graph's {kind} are {names}; the contract says {expected}")


def _check_shapes(outputs: Arrays, model: Model, trial: Trial) -> None:
    for tensor in model.outputs:
        found = outputs[tensor.name]
        expected = (trial.batch, *shape(tensor, trial.sizes))
        if found.shape != expected or found.dtype != np.float32:
            raise ShapesDiffer(
                f"{model.name}: {tensor.name} is {found.dtype} {list(found.shape)} for a batch of {trial.batch} "
                f"with {trial.sizes['network_samples']} samples; the contract says float32 {list(expected)}"
            )


def _differences(outputs: Arrays, model: Model, trial: Trial, allowed: float) -> Iterator[tuple[str, float]]:
    for tensor in model.outputs:
        expected = trial.expected[tensor.name]
        difference = _largest(outputs[tensor.name], expected)
        limit = allowed * max(1.0, float(np.abs(expected).max()))
        if not difference <= limit:  # NaN fails too
            raise ValuesDiffer(
                f"{model.name}: {tensor.name} is up to {difference:.3g} from torch's for a batch of {trial.batch} "
                f"with {trial.sizes['network_samples']} samples; accepted: {limit:.3g}",
                difference,
            )
        yield tensor.name, difference


def _largest(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max())
