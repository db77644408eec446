"""The model ``emotalk_live`` as its config describes it: its graph in this process, and its weights' sign."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emotalk_contract import tensors
from emotalk_contract.recipe import Recipe
from emotalk_ensemble.backend.errors import BackendError
from emotalk_ensemble.backend.session import Instance, has_cuda, open_session
from emotalk_ensemble.backend.shared_weights import digest
from emotalk_ensemble.exchange import Arrays
from emotalk_ensemble.live import LiveSteps
from emotalk_ensemble.live_state import StateCodec

logger = logging.getLogger(__name__)

SIGN_BYTES = 8
"""Of the graph's digest, in every state: enough to tell weights apart that nobody forged."""


def load(config: Mapping[str, Any], instance: Instance) -> LiveSteps:
    """Return the steps of the graph beside ``instance``'s model.

    Raises:
        BackendError: the graph is missing, or its config has no reach.
    """
    path = instance.folder / "model.onnx"
    parameters = {key: str(value["string_value"]) for key, value in config["parameters"].items()}
    recipe = Recipe.from_strings(parameters)
    reach = recipe.steps
    if reach is None:
        raise BackendError(f"{config['name']}: the config has no step_lead; `emotalk-export` writes it")
    if instance.kind == "GPU" and not has_cuda():
        # The rest of the server is Triton's own backends; a step is a millisecond of one core.
        logger.warning("%s runs on the CPU: this Python's ONNX Runtime has no CUDA provider", config["name"])
        instance = replace(instance, kind="CPU")
    session = open_session(path, config["name"], parameters, instance)
    outputs = [tensor.name for tensor in tensors.LIVE_GRAPH.outputs]

    def run(inputs: Arrays) -> Arrays:
        return dict(zip(outputs, session.run(outputs, inputs), strict=True))

    cache = next(entry.shape[1] for entry in session.get_inputs() if entry.name == tensors.CACHE.name)
    return LiveSteps(run, recipe, reach, StateCodec(digest(path)[:SIGN_BYTES], cache))
