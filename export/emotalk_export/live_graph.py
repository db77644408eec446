"""The graph of a live stream's step: written as the others are, and proven by streams of every kind.

Rule that this module guards: **no graph is kept whose streams are not their whole clips.** The exported graph runs
clips of many lengths in steps of many sizes, several streams at once, and its rows are compared with those that the
whole clip's network gives in torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from emotalk_contract import tensors
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.limits import MIN_SAMPLES, PERSONS
from emotalk_contract.live_steps import Step, StepReach, features_in_all, frames_in_all
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_export.compact import CompactFace
from emotalk_export.compact_live import LiveStep
from emotalk_export.errors import ValuesDiffer
from emotalk_export.onnx_export import GraphFiles, export_graph
from emotalk_export.validate import murmur, open_session

TOLERANCE = 1e-5
"""Largest difference of a stream's raw weights from its whole clip's."""
LENGTHS = (MIN_SAMPLES, MIN_SAMPLES + 1, 1696, 2 * SAMPLE_RATE + 119, 2 * SAMPLE_RATE + 121, 5 * SAMPLE_RATE + 1)
"""Samples of the clips that prove it: the shortest, those between two features, longer than what it remembers."""
STREAMS = 3
"""Streams that share a batch, each with a voice, a level and a style of its own."""


def export_live_graph(face: CompactFace, reach: StepReach, folder: Path) -> tuple[GraphFiles, float]:
    """Write the step of ``face`` as ``folder/model.onnx``; return its file and the largest difference that was seen.

    Raises:
        GraphExportFailed: torch cannot export it.
        ValuesDiffer: a stream is further from its whole clip than :data:`TOLERANCE`.
    """
    module = LiveStep(face).eval()
    files = export_graph(
        module,
        tensors.LIVE_GRAPH,
        {"cache": module.cache_size, "styles": PERSONS},
        folder,
        arguments=_arguments(module, reach),
    )
    return files, _prove(files.graph, face, reach, module.cache_size)


def _arguments(module: LiveStep, reach: StepReach) -> tuple[torch.Tensor, ...]:
    """Inputs of a step in mid-stream, for two streams: torch takes an axis of size 1 for one that never varies."""
    step = Step(reach, first=40, features=10, drain=reach.ahead, provisional=3)
    generator = torch.Generator().manual_seed(0)
    given = {name: torch.from_numpy(array).repeat(2, 1) for name, array in step.inputs().items()}
    given[tensors.STEP_AUDIO.name] = torch.rand((2, reach.span(40, 10)[1]), generator=generator)
    given[tensors.CACHE.name] = torch.rand((2, module.cache_size), generator=generator)
    given[tensors.LEVEL_CODE.name] = torch.rand((2, 2), generator=generator)
    given[tensors.STYLE_CODE.name] = torch.rand((2, PERSONS), generator=generator)
    return tuple(given[tensor.name] for tensor in tensors.LIVE_GRAPH.inputs)


def _prove(path: Path, face: CompactFace, reach: StepReach, cache_size: int) -> float:
    session = open_session(path)
    largest = 0.0
    for seed, samples in enumerate(LENGTHS):
        generator = np.random.Generator(np.random.PCG64(seed))
        audio = murmur(generator, STREAMS, samples)
        level = generator.uniform(size=(STREAMS, 1)).astype(np.float32)
        style = generator.dirichlet(np.ones(PERSONS), STREAMS).astype(np.float32)
        codes = {tensors.LEVEL_CODE.name: np.concatenate([1 - level, level], 1), tensors.STYLE_CODE.name: style}
        with torch.inference_mode():
            whole = face(*(torch.from_numpy(array) for array in (audio, *codes.values()))).numpy()
        for most in (1, 4, 40):
            sizes = generator.integers(1, most + 1, features_in_all(samples))
            streamed = _Stream(session, reach, cache_size, codes).run(audio, iter(sizes.tolist()))
            largest = max(largest, float(np.abs(streamed - whole).max()))
    if not largest <= TOLERANCE:  # NaN fails too
        raise ValuesDiffer(
            f"{tensors.LIVE.name}: streams differ from their whole clips by {largest:.2g}; accepted: {TOLERANCE:g}",
            largest,
        )
    return largest


@dataclass(frozen=True, slots=True)
class _Stream:
    """Streams that take their steps together."""

    session: onnxruntime.InferenceSession
    reach: StepReach
    cache_size: int
    codes: dict[str, NDArray[np.float32]]

    def run(self, audio: NDArray[np.float32], sizes: Iterator[int]) -> NDArray[np.float32]:
        """Return the raw weights [B, F, 52] of ``audio`` [B, N], spoken in steps of ``sizes`` features."""
        reach, samples = self.reach, audio.shape[1]
        padded = np.pad(audio, ((0, 0), (reach.lead, 4 * reach.lead)))
        frames = frames_in_all(samples)
        given = np.full((len(audio), frames, BLENDSHAPE_COUNT), np.nan, np.float32)
        cache = np.zeros((len(audio), self.cache_size), np.float32)
        first, over = 0, False
        while not over:
            features = next(sizes)
            over = first + features >= reach.features(samples)
            step = Step.last(reach, first, samples) if over else Step.within(reach, first, features)
            rows, cache = self._step(step, padded, cache)
            place = range(step.known_before, step.known + (step.provisional if over else 0))
            for row, frame in enumerate(place):
                if 0 <= frame < frames:
                    given[:, frame] = rows[:, row]
            first += step.features
        return given

    def _step(
        self, step: Step, padded: NDArray[np.float32], cache: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        start, length = step.span()
        audio = padded[:, start + self.reach.lead : start + self.reach.lead + length]
        given: dict[str, Any] = {name: np.repeat(array, len(audio), 0) for name, array in step.inputs().items()}
        given |= {tensors.STEP_AUDIO.name: audio, tensors.CACHE.name: cache, **self.codes}
        rows, cache = self.session.run([tensor.name for tensor in tensors.LIVE_GRAPH.outputs], given)
        return rows, cache
