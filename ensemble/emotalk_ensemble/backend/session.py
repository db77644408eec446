"""An ONNX Runtime session as a Triton model config describes it.

Honoured, with the keys of Triton's C++ backend: ``default_model_filename``; ``instance_group`` (KIND_GPU means the CUDA
provider on that device); ``parameters`` ``intra_op_thread_count``, ``inter_op_thread_count``, ``execution_mode``,
``enable_mem_arena``, ``enable_mem_pattern``, and the CUDA provider's ``gpu_mem_limit``, ``arena_extend_strategy`` and
``cudnn_conv_algo_search``; ``optimization.graph.level``. A parameter whose key starts with
``session.`` is handed to ONNX Runtime as it is (its own configuration entries). Beyond those: ``share_of_cores``, for
networks that run beside each other; ``largest_joined_bytes``, because a large batch is slow on a CPU;
``longest_inputs``, because memory grows with the square of a length and the networks answer whoever calls them; and
``tiling``, because a frontend is faster in short tiles (:mod:`emotalk_ensemble.backend.tiles`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from emotalk_contract.errors import InvalidShape
from emotalk_contract.quoting import cut, quoted
from emotalk_contract.recipe import JOINED_PARAMETER, LONGEST_PARAMETER, SHARE_PARAMETER, TILING_PARAMETER
from emotalk_ensemble.backend.errors import BackendError
from emotalk_ensemble.backend.shared_weights import add_shared_weights
from emotalk_ensemble.backend.tiles import Tiling
from emotalk_ensemble.exchange import Arrays, Refusal, internal

logger = logging.getLogger(__name__)

_OPTIMISATION_LEVELS = {
    "-1": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "1": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "2": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

_CUDA_NAMES = {
    "arena_extend_strategy": ("kNextPowerOfTwo", "kSameAsRequested"),
    "cudnn_conv_algo_search": ("EXHAUSTIVE", "HEURISTIC", "DEFAULT"),
}
"""Names that ONNX Runtime has for the numbers in a model config, which count them from 0."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a model: its files and its device."""

    folder: Path
    """The version folder: holds the model file."""
    kind: str
    """``CPU`` or ``GPU``."""
    device: int
    """Number of the GPU."""

    @classmethod
    def from_arguments(cls, args: Mapping[str, str]) -> Instance:
        """Read the arguments that Triton gives a Python model's ``initialize``."""
        return cls(
            Path(args["model_repository"], args["model_version"]),
            args["model_instance_kind"].removeprefix("KIND_"),
            max(0, int(args["model_instance_device_id"])),
        )


class Network:
    """One ONNX graph, loaded; runs requests of equal shapes as one batch."""

    def __init__(self, config: Mapping[str, Any], instance: Instance) -> None:
        path = instance.folder / (config.get("default_model_filename") or "model.onnx")
        parameters = {key: str(value["string_value"]) for key, value in config.get("parameters", {}).items()}
        level = str(config.get("optimization", {}).get("graph", {}).get("level", 0))
        self._session = open_session(path, config["name"], parameters, instance, level)
        self._joined_bytes = float(parameters.get(JOINED_PARAMETER, "inf"))
        self._longest: dict[str, int] = json.loads(parameters.get(LONGEST_PARAMETER, "{}"))
        tiling = parameters.get(TILING_PARAMETER)
        self._tiling = Tiling.from_json(tiling) if tiling else None
        self.inputs: list[str] = [entry["name"] for entry in config["input"]]
        self.outputs: list[str] = [entry["name"] for entry in config["output"]]

    def checked(self, inputs: Arrays) -> Arrays:
        """Return ``inputs``.

        Raises:
            InvalidShape: one is longer than the config allows, or has no length.
        """
        for name, array in inputs.items():
            longest = self._longest.get(name)
            if longest is not None and not 1 <= array.shape[1] <= longest:
                raise InvalidShape(f"{name} has shape {list(array.shape)}; accepted: a length of 1 to {longest}")
        return inputs

    def run(self, inputs: Arrays) -> Arrays:
        """Return the outputs by name; every array has its batch axis first."""
        if self._tiling is None:
            return self._run_whole(inputs)
        return self._tiling.run(self._run_whole, inputs)

    def _run_whole(self, inputs: Arrays) -> Arrays:
        return dict(zip(self.outputs, self._session.run(self.outputs, inputs), strict=True))

    def run_all(self, requests: Sequence[Arrays]) -> list[Arrays | Refusal]:
        """Return one result a request, in order: its outputs, or the refusal that it alone caused.

        Triton's batcher only joins requests of equal shapes, and as many as it may. They are computed together as far
        as ``largest_joined_bytes`` allows.
        """
        largest = max((sum(array.nbytes for array in request.values()) for request in requests), default=0)
        count = int(max(1, min(len(requests), self._joined_bytes // max(1, largest))))
        return [result for i in range(0, len(requests), count) for result in self._run_joined(requests[i : i + count])]

    def _run_joined(self, requests: Sequence[Arrays]) -> list[Arrays | Refusal]:
        """Run all in one. If that fails, each runs alone, so that one bad request does not take the others with it."""
        if len(requests) > 1:
            try:
                return self._split(requests)
            except Exception as error:  # noqa: BLE001  # ONNX Runtime's errors share no base class
                logger.warning("%d requests failed together, each runs alone: %s", len(requests), cut(str(error)))
        return [self._run_alone(request) for request in requests]

    def _split(self, requests: Sequence[Arrays]) -> list[Arrays | Refusal]:
        sizes = [len(request[self.inputs[0]]) for request in requests]
        joined = {name: np.concatenate([request[name] for request in requests]) for name in self.inputs}
        cuts = np.cumsum(sizes)[:-1]
        parts = {name: np.split(array, cuts) for name, array in self.run(joined).items()}
        return [{name: parts[name][i] for name in self.outputs} for i in range(len(requests))]

    def _run_alone(self, request: Arrays) -> Arrays | Refusal:
        try:
            return self.run(request)
        except Exception as error:  # noqa: BLE001  # likewise
            logger.warning("the graph failed: %s", cut(str(error)))
            return internal(error)


def open_session(
    path: Path, name: str, parameters: Mapping[str, str], instance: Instance, level: str = "0"
) -> onnxruntime.InferenceSession:
    """Return a session of the graph in ``path``, of the model ``name``.

    Raises:
        BackendError: it is missing, or cannot run on ``instance``.
    """
    if not path.is_file():
        raise BackendError(f"{name}: the graph {path} is missing; `emotalk-export` writes it")
    options = session_options(parameters, level)
    weights = add_shared_weights(options, path)
    session = onnxruntime.InferenceSession(str(path), options, providers=providers(instance, parameters))
    session.emotalk_weights = weights  # for as long as it lives
    return session


def providers(instance: Instance, parameters: Mapping[str, str]) -> list[Any]:
    """Return ONNX Runtime's execution providers for ``instance``, with those of a config's ``parameters`` for a GPU.

    Raises:
        BackendError: the config asks for a GPU, but this ONNX Runtime has no CUDA provider, or a setting of it has a
            value that stands for nothing.
    """
    if instance.kind != "GPU":
        return ["CPUExecutionProvider"]
    if not has_cuda():
        raise BackendError(
            "the config says KIND_GPU, but this ONNX Runtime has no CUDA provider "
            f"({', '.join(onnxruntime.get_available_providers())}); install onnxruntime-gpu"
        )
    return [("CUDAExecutionProvider", {"device_id": instance.device, **_cuda(parameters)}), "CPUExecutionProvider"]


def _cuda(parameters: Mapping[str, str]) -> dict[str, str]:
    options = {}
    if limit := parameters.get("gpu_mem_limit"):
        options["gpu_mem_limit"] = limit
    for key, names in _CUDA_NAMES.items():
        value = parameters.get(key)
        if value is None:
            continue
        accepted = {str(number): name for number, name in enumerate(names)}
        if value not in accepted:
            meanings = ", ".join(f"{number} ({name})" for number, name in accepted.items())
            raise BackendError(f"{key} is {quoted(value)}; accepted: {meanings}")
        options[key] = accepted[value]
    return options


def has_cuda() -> bool:
    """Return whether this ONNX Runtime can use a GPU."""
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def session_options(parameters: Mapping[str, str], level: str = "0") -> onnxruntime.SessionOptions:
    """Return session options from a model config's ``parameters`` and its graph optimisation level."""
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
