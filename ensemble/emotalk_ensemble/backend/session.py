"""An ONNX Runtime session as a Triton model config describes it.

Honoured, with the keys of Triton's C++ backend: ``default_model_filename``; ``instance_group`` (KIND_GPU means the CUDA
provider on that device); ``parameters`` ``intra_op_thread_count``, ``inter_op_thread_count``, ``execution_mode``,
``enable_mem_arena``, ``enable_mem_pattern``; ``optimization.graph.level``. A parameter whose key starts with
``session.`` is handed to ONNX Runtime as it is (its own configuration entries). Beyond those: ``share_of_cores``, for
networks that run beside each other, and ``largest_joined_bytes``, because a large batch is slow on a CPU.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotalk_contract.recipe import JOINED_PARAMETER, SHARE_PARAMETER

logger = logging.getLogger(__name__)

Arrays: TypeAlias = dict[str, NDArray[Any]]

_OPTIMISATION_LEVELS = {
    "-1": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "1": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "2": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class BackendError(RuntimeError):
    """A model that cannot be loaded as its config says."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Where one instance of a model lives."""

    folder: Path
    """The version folder: holds the model file."""
    kind: str
    """``CPU`` or ``GPU``."""
    device: int
    """Number of the GPU."""

    @classmethod
    def from_arguments(cls, args: Mapping[str, str]) -> Instance:
        """From the arguments that Triton gives a Python model's ``initialize``."""
        return cls(
            Path(args["model_repository"], args["model_version"]),
            args["model_instance_kind"].removeprefix("KIND_"),
            max(0, int(args["model_instance_device_id"])),
        )


class Network:
    """One ONNX graph, loaded; runs requests of equal shapes as one batch."""

    def __init__(self, config: Mapping[str, Any], instance: Instance) -> None:
        path = instance.folder / (config.get("default_model_filename") or "model.onnx")
        if not path.is_file():
            raise BackendError(f"{config['name']}: the graph {path} is missing; `emotalk-export` writes it")
        parameters = {key: str(value["string_value"]) for key, value in config.get("parameters", {}).items()}
        level = str(config.get("optimization", {}).get("graph", {}).get("level", 0))
        self._session = onnxruntime.InferenceSession(
            str(path), session_options(parameters, level), providers=providers(instance)
        )
        self._joined_bytes = float(parameters.get(JOINED_PARAMETER, "inf"))
        self.inputs: list[str] = [entry["name"] for entry in config["input"]]
        self.outputs: list[str] = [entry["name"] for entry in config["output"]]

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name; every array has its batch axis first."""
        return dict(zip(self.outputs, self._session.run(self.outputs, inputs), strict=True))

    def run_all(self, requests: Sequence[Arrays]) -> list[Arrays | Exception]:
        """One result a request, in order: its outputs, or the error that it alone caused.

        Triton's batcher only joins requests of equal shapes, and as many as it may. They are computed together as far
        as ``largest_joined_bytes`` allows.
        """
        largest = max(sum(array.nbytes for array in request.values()) for request in requests)
        count = int(max(1, min(len(requests), self._joined_bytes // max(1, largest))))
        return [result for i in range(0, len(requests), count) for result in self._run_joined(requests[i : i + count])]

    def _run_joined(self, requests: Sequence[Arrays]) -> list[Arrays | Exception]:
        """All in one. If that fails, each runs alone, so that one bad request does not take the others with it."""
        if len(requests) == 1:
            return [self._run_guarded(requests[0])]
        sizes = [len(request[self.inputs[0]]) for request in requests]
        joined = {name: np.concatenate([request[name] for request in requests]) for name in self.inputs}
        outputs = self._run_guarded(joined)
        if isinstance(outputs, Exception):
            return [self._run_guarded(request) for request in requests]
        cuts = np.cumsum(sizes)[:-1]
        parts = {name: np.split(array, cuts) for name, array in outputs.items()}
        return [{name: parts[name][i] for name in self.outputs} for i in range(len(requests))]

    def _run_guarded(self, inputs: Arrays) -> Arrays | Exception:
        try:
            return self.run(inputs)
        except Exception as error:  # noqa: BLE001  # ONNX Runtime's errors share no base class
            logger.warning("the graph failed: %s", error)
            return error


def providers(instance: Instance) -> list[Any]:
    """ONNX Runtime's execution providers for ``instance``.

    Raises:
        BackendError: the config asks for a GPU, but this ONNX Runtime has no CUDA provider.
    """
    if instance.kind != "GPU":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise BackendError(
            "the config says KIND_GPU, but this ONNX Runtime has no CUDA provider "
            f"({', '.join(onnxruntime.get_available_providers())}); install onnxruntime-gpu"
        )
    return [("CUDAExecutionProvider", {"device_id": instance.device}), "CPUExecutionProvider"]


def session_options(parameters: Mapping[str, str], level: str = "0") -> onnxruntime.SessionOptions:
    """Session options from a model config's ``parameters`` and its graph optimisation level."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
    if share := float(parameters.get(SHARE_PARAMETER, 0)):
        threads = options.intra_op_num_threads or len(os.sched_getaffinity(0))
        options.intra_op_num_threads = max(1, round(share * threads))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
    options.enable_cpu_mem_arena = parameters.get("enable_mem_arena", "1") == "1"
    options.enable_mem_pattern = parameters.get("enable_mem_pattern", "1") == "1"
    if parameters.get("execution_mode", "0") == "1":
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    if level in _OPTIMISATION_LEVELS:
        options.graph_optimization_level = _OPTIMISATION_LEVELS[level]
    for key, value in parameters.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    return options
