"""The ``config.pbtxt`` files of a model repository, generated from the contract and a manifest.

``config.pbtxt`` is the CPU profile; ``configs/gpu.pbtxt`` and ``configs/tensorrt.pbtxt`` are chosen by the server's
``--profile`` (Triton's ``--model-config-name``; models without the file keep ``config.pbtxt``).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

from emotalk_contract import tensors
from emotalk_contract.limits import MAX_BATCH, MAX_FRAMES, MAX_SAMPLES, MAX_STEP_BATCH, QUEUE_SIZE
from emotalk_contract.live_steps import samples_of
from emotalk_contract.pipeline import pipeline
from emotalk_contract.protobuf_text import Enum, dumps
from emotalk_contract.recipe import (
    JOINED_PARAMETER,
    LONGEST_PARAMETER,
    QUEUE_SIZE_PARAMETER,
    SHARE_PARAMETER,
    TILING_PARAMETER,
    Manifest,
    Precision,
    Recipe,
    Widths,
)
from emotalk_contract.tensors import Model, Tensor
from emotalk_contract.timing import FEATURE_HOP, FEATURE_SPAN, SAMPLE_RATE, Window, emotion_frame_count, feature_count

Profile: TypeAlias = Literal["cpu", "gpu", "tensorrt"]
Message: TypeAlias = dict[str, Any]

HEADER = "# Generated from emotalk_contract; do not edit. `make configs` writes it again.\n"

PROFILE_PATHS: dict[Profile, str] = {
    "cpu": "config.pbtxt",
    "gpu": "configs/gpu.pbtxt",
    "tensorrt": "configs/tensorrt.pbtxt",
}
"""Path of a network's config for each profile, in its folder."""

CPU_SESSION = {
    "intra_op_thread_count": "0",  # all cores
    "inter_op_thread_count": "1",
    "enable_mem_arena": "0",  # an arena: 1.13 times as fast at 25 s, but 0.8 to 1.2 GB more for good
    "session.intra_op.allow_spinning": "0",  # idle threads must not eat the cores of the next model
    JOINED_PARAMETER: str(2 * 2**20),  # short windows gain from a batch; four of 40 s took 1.4 times as long as apart
}
"""ONNX Runtime session settings of the CPU profile; docs/performance.md has what others would cost."""

TILE_FEATURES: dict[Precision, int] = {"fp32": 100, "fp16": 100, "int8": 50}
"""Features that the frontend computes at a time on a CPU, where each hears nothing beyond its own 25 ms: 2 s, and the
tensors between its layers stay below the size from which on every one of them is fresh memory. Integers also have one
scale for each tile."""

LIVE_SESSION = {
    "intra_op_thread_count": "1",  # a step is too small to share
    "inter_op_thread_count": "1",
    "enable_mem_arena": "1",  # steps are small, and of few shapes
    "session.intra_op.allow_spinning": "0",
}
"""Likewise, of the step of live streams."""

_GIB = 2**30
GPU_ARENA_BYTES: dict[str, int] = {
    tensors.FRONTEND.name: 17 * _GIB // 2,
    tensors.CONTENT_ENCODER.name: 5 * _GIB,
    tensors.EMOTION_ENCODER.name: 5 * _GIB,
    tensors.DECODER.name: 5 * _GIB // 2,
}
"""Bytes of the GPU's memory that each network's arena may take, weights included, at most: 21 GiB together, so that a
card of 24 GB is enough. At EmoTalk's size each holds the longest request alone and eight windows of 40 s;
docs/deployment.md has what they need. An arena is never given back: without a limit, one odd batch would decide what is
left for the others for good."""

GPU_STEP_BYTES = _GIB
"""Likewise, of a live stream's step, which is small."""

GPU_SESSION = {
    "arena_extend_strategy": "1",  # kSameAsRequested: grow by what is asked for, not to the next power of two
    "cudnn_conv_algo_search": "1",  # HEURISTIC: EXHAUSTIVE, the default, tries all of them for each new length
}
"""Settings of ONNX Runtime's CUDA provider in the GPU profile, beside ``gpu_mem_limit``.

As ``parameters``, with the numbers that Triton's backend translates
(https://github.com/triton-inference-server/onnxruntime_backend, "ONNX Runtime with CUDA Execution Provider
optimization"). That page prefers ``optimization.execution_accelerators`` with the name ``cuda``, and calls this form
deprecated but supported. It is the one that holds: where a config has any ``parameters`` at all, and ours have, the
backend (``src/onnxruntime.cc``) puts the defaults of exactly these settings over what the accelerator said.
"""

ENCODERS = (tensors.CONTENT_ENCODER.name, tensors.EMOTION_ENCODER.name)
"""Triton runs these beside each other. Where both take as long, each gets half the cores: threads that share a core
wait for one another."""

WARM_UP_SAMPLES = SAMPLE_RATE
"""Length of the request that every instance runs before it counts as ready."""
WARM_UP_FEATURES = 10
"""Likewise, of a live stream's step."""
GPU_QUEUE_DELAY_US = 2_000
"""Microseconds that a request waits for others to share a batch with, on a GPU (batches gain little on a CPU)."""

CACHED = (tensors.FRONTEND.name, tensors.CONTENT_ENCODER.name, tensors.EMOTION_ENCODER.name)
"""Models that know nothing of level, person and style: where the server has a response cache, the same speech in
another style runs the decoder only (docs/performance.md has what that saves)."""

_TYPES = {"FP32": "TYPE_FP32", "FP64": "TYPE_FP64", "INT32": "TYPE_INT32", "INT64": "TYPE_INT64", "UINT8": "TYPE_UINT8"}


def axis_sizes(samples: int, widths: Widths) -> dict[str, int]:
    """Return the size of every named axis for a clip of ``samples`` samples."""
    features = feature_count(samples)
    return asdict(widths) | {
        "samples": samples,
        "emotion_samples": samples,
        "network_samples": samples,
        "features": features,
        "frames": Window.whole(samples).frames,
        "steps": emotion_frame_count(features),
    }


def longest_axes(recipe: Recipe) -> dict[str, int]:
    """Return the size that every axis between the models has at most: speech and an emotion clip, both the longest."""
    gap = FEATURE_HOP + math.ceil(recipe.frontend_context_s * SAMPLE_RATE / FEATURE_HOP) * FEATURE_HOP
    samples = 2 * MAX_SAMPLES + gap
    return {
        "network_samples": samples,
        "features": feature_count(samples),
        "frames": MAX_FRAMES,
        "steps": MAX_FRAMES + 2,  # a window takes the steps on both of its sides
    }


def shape(tensor: Tensor, sizes: dict[str, int]) -> tuple[int, ...]:
    """Return the shape of ``tensor``, without the batch axis; an axis that ``sizes`` lacks is -1."""
    return tuple(axis if isinstance(axis, int) else sizes.get(axis, -1) for axis in tensor.axes)


def config_files(manifest: Manifest, queue_size: int = QUEUE_SIZE) -> dict[PurePosixPath, str]:
    """Return the relative path and text of every config file of the repository that ``manifest`` describes."""
    files: dict[PurePosixPath, Message] = {}
    served = pipeline(manifest.recipe)
    for model in (served.preprocess, tensors.POSTPROCESS):
        files[PurePosixPath(model.name, "config.pbtxt")] = _python_model(model, manifest, queue_size)
    for model in served.graphs:
        for profile, path in PROFILE_PATHS.items():
            if profile != "cpu" and manifest.precision == "int8":
                continue  # its operators are the CPU's
            files[PurePosixPath(model.name, path)] = _network(model, manifest, profile)
    files[PurePosixPath(tensors.ENSEMBLE.name, "config.pbtxt")] = _ensemble(manifest)
    if manifest.recipe.steps is not None:
        for profile, path in PROFILE_PATHS.items():
            files[PurePosixPath(tensors.LIVE.name, path)] = _live(manifest, profile)
    return {path: HEADER + dumps(message) for path, message in sorted(files.items())}


def _signature(model: Model, widths: Widths, **head: Any) -> Message:
    def entry(tensor: Tensor) -> Message:
        message: Message = {
            "name": tensor.name,
            "data_type": Enum(_TYPES[tensor.datatype]),
            "dims": list(shape(tensor, asdict(widths))),
        }
        return message | {"optional": True} if tensor.optional and tensor in model.inputs else message

    return {
        "name": model.name,
        **head,
        "max_batch_size": MAX_BATCH,
        "input": [entry(t) for t in model.inputs],
        "output": [entry(t) for t in model.outputs],
    }


def _parameters(values: dict[str, str]) -> list[Message]:
    return [{"key": key, "value": {"string_value": value}} for key, value in values.items()]


def _batching(delay_us: int = 0) -> Message:
    """No bounded queue here: see :mod:`emotalk_ensemble.admission`."""
    return {"max_queue_delay_microseconds": delay_us}


def _warm_up(model: Model, widths: Widths) -> Message:
    sizes = axis_sizes(WARM_UP_SAMPLES, widths)
    return {
        "name": "one_second",
        "batch_size": 1,
        "inputs": [
            {
                "key": tensor.name,
                "value": {
                    "data_type": Enum(_TYPES[tensor.datatype]),
                    "dims": list(shape(tensor, sizes)),
                    "zero_data": True,
                },
            }
            for tensor in model.inputs
            if not tensor.optional
        ],
    }


def _python_model(model: Model, manifest: Manifest, queue_size: int) -> Message:
    message = _signature(model, manifest.widths, backend="python")
    message["instance_group"] = [{"count": 1, "kind": Enum("KIND_CPU")}]
    message["dynamic_batching"] = _batching()
    if model.name == tensors.PREPROCESS.name:
        message["parameters"] = _parameters(manifest.recipe.strings() | {QUEUE_SIZE_PARAMETER: str(queue_size)})
    message["model_warmup"] = [_warm_up(model, manifest.widths)]
    return message


def _network(model: Model, manifest: Manifest, profile: Profile) -> Message:
    head = (
        {"platform": "tensorrt_plan", "default_model_filename": "model.plan"}
        if profile == "tensorrt"
        else {"backend": "onnxruntime", "default_model_filename": "model.onnx"}
    )
    message = _signature(model, manifest.widths, **head)
    message["instance_group"] = [{"count": 1, "kind": Enum("KIND_CPU" if profile == "cpu" else "KIND_GPU")}]
    message["dynamic_batching"] = _batching(0 if profile == "cpu" else GPU_QUEUE_DELAY_US)
    longest = longest_axes(manifest.recipe)
    lengths = {t.name: longest[str(t.axes[0])] for t in model.inputs if t.axes[0] in longest}
    bound = {LONGEST_PARAMETER: json.dumps(lengths)}
    if profile == "gpu":
        limit = {"gpu_mem_limit": str(GPU_ARENA_BYTES[model.name])}
        message["parameters"] = _parameters(GPU_SESSION | limit | bound)
    if profile == "cpu":
        share = {SHARE_PARAMETER: "0.5"} if manifest.encoders_alike and model.name in ENCODERS else {}
        message["parameters"] = _parameters(CPU_SESSION | share | bound | _tiling(model, manifest))
    message["model_warmup"] = [_warm_up(model, manifest.widths)]
    if model.name in CACHED:
        message["response_cache"] = {"enable": True}
    return message


def _tiling(model: Model, manifest: Manifest) -> dict[str, str]:
    if model.name != tensors.FRONTEND.name or manifest.recipe.frontend_context_s:
        return {}
    steps = TILE_FEATURES[manifest.precision]
    tiling = {"input": tensors.NETWORK_AUDIO.name, "hop": FEATURE_HOP, "span": FEATURE_SPAN, "steps": steps}
    return {TILING_PARAMETER: json.dumps(tiling)}


def _live(manifest: Manifest, profile: Profile) -> Message:
    """The step of live streams: a Python model that runs its graph in its own process."""
    message = _signature(tensors.LIVE, manifest.widths, backend="python") | {"max_batch_size": MAX_STEP_BATCH}
    for entry in message["input"]:
        entry["allow_ragged_batch"] = True  # it sorts by shape itself, and streams that begin bring no state
    message["instance_group"] = [{"count": 1, "kind": Enum("KIND_CPU" if profile == "cpu" else "KIND_GPU")}]
    message["dynamic_batching"] = _batching(0 if profile == "cpu" else GPU_QUEUE_DELAY_US)
    device = {} if profile == "cpu" else GPU_SESSION | {"gpu_mem_limit": str(GPU_STEP_BYTES)}
    message["parameters"] = _parameters(LIVE_SESSION | device | manifest.recipe.strings())
    samples = samples_of(manifest.recipe.step_lead, WARM_UP_FEATURES)
    audio = {"data_type": Enum("TYPE_FP32"), "dims": [samples], "zero_data": True}
    message["model_warmup"] = [
        {"name": "a_step", "batch_size": 1, "inputs": [{"key": tensors.STEP_AUDIO.name, "value": audio}]}
    ]
    return message


def _ensemble(manifest: Manifest) -> Message:
    served = pipeline(manifest.recipe)
    message = _signature(served.ensemble, manifest.widths, platform="ensemble")
    message["ensemble_scheduling"] = {
        "step": [
            {
                "model_name": model.name,
                "model_version": -1,
                "input_map": [{"key": t.name, "value": t.name} for t in model.inputs],
                "output_map": [{"key": t.name, "value": t.name} for t in model.outputs],
            }
            for model in served.steps
        ]
    }
    about = {"model": manifest.model, "precision": manifest.precision, "licence": manifest.licence}
    message["parameters"] = _parameters(about | manifest.recipe.strings())
    return message
