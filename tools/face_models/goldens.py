"""The answers of Google's interpreter to inputs that a test can make again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from emotalk_contract.avatar import MODELS
from face_models.inputs import inputs


def write(graphs: Mapping[str, bytes], picture: Path, output: Path) -> None:
    """Write the outputs of ``graphs`` for :func:`~face_models.inputs.inputs` to ``output``, an ``.npz``."""
    given = inputs(picture)
    answers: dict[str, NDArray[Any]] = {}
    for model in MODELS:
        interpreter = Interpreter(model_content=graphs[model.name])
        interpreter.allocate_tensors()
        (asked,) = interpreter.get_input_details()
        told = interpreter.get_output_details()
        rows: list[list[NDArray[Any]]] = []
        for item in given[model.name]:
            interpreter.set_tensor(asked["index"], item[None])
            interpreter.invoke()
            rows.append([interpreter.get_tensor(one["index"]) for one in told])
        for number, tensor in enumerate(model.outputs):
            shape = [-1, *(int(axis) for axis in tensor.axes)]
            answers[f"{model.name}/{tensor.name}"] = np.concatenate([row[number].reshape(shape) for row in rows])
    np.savez_compressed(output, **answers)
