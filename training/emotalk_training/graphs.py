"""The exported graphs in ONNX Runtime, chained as the server chains them: what the evaluation scores."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotalk_contract import tensors
from emotalk_contract.limits import PERSONS
from emotalk_contract.repository import VERSION
from emotalk_contract.timing import Window, frame_grid
from emotalk_export.exporter import export
from emotalk_export.onnx_export import GRAPH_NAME
from emotalk_training.metrics import Weights


class GraphFace:
    """Callable: a clip [N] at 16 kHz to weights [F, 52], clamped to 0..1. One thread.

    The graphs are those that :mod:`emotalk_export` writes, in the ``<graph>/1/model.onnx`` of a model repository.
    """

    def __init__(self, repository: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._sessions = [
            onnxruntime.InferenceSession(
                str(repository / model.name / VERSION / GRAPH_NAME), options, providers=["CPUExecutionProvider"]
            )
            for model in tensors.GRAPHS
        ]

    @classmethod
    def of(cls, checkpoint: Path) -> GraphFace:
        """Of a checkpoint file, through an export to a temporary folder."""
        with tempfile.TemporaryDirectory() as folder:
            export(checkpoint, Path(folder) / "repository")
            return cls(Path(folder) / "repository")

    def __call__(self, audio: NDArray[np.float32], level: float = 1.0, person: int = 0) -> Weights:
        """Weights [F, 52] of a clip, for a level 0..1 and a person 0..23."""
        grid = frame_grid(Window.whole(len(audio)), "uniform")
        known: dict[str, NDArray[np.float32]] = {
            tensors.NETWORK_AUDIO.name: audio[None],
            tensors.CONTENT_POSITIONS.name: grid.content[None],
            tensors.EMOTION_POSITIONS.name: grid.emotion[None],
            tensors.EMOTION_FRAME_POSITIONS.name: grid.emotion_frame[None],
            tensors.LEVEL_CODE.name: np.array([[1 - level, level]], np.float32),
            tensors.STYLE_CODE.name: np.eye(PERSONS, dtype=np.float32)[person : person + 1],
        }
        for model, session in zip(tensors.GRAPHS, self._sessions, strict=True):
            names = [tensor.name for tensor in model.outputs]
            outputs = session.run(names, {tensor.name: known[tensor.name] for tensor in model.inputs})
            known |= dict(zip(names, outputs, strict=True))
        return np.asarray(np.clip(known[tensors.RAW_BLENDSHAPES.name][0], 0, 1), np.float32)
