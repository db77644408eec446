"""The longest requests at EmoTalk's size within the arenas that the GPU profile allows, on a CPU (9 GB, two minutes).

ONNX Runtime's arena is the same for both, as are the order of the operations and what they keep. Kernels of a GPU may
want a workspace more, which nobody sees here.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from emotalk_contract import tensors
from emotalk_contract.configs import GPU_ARENA_BYTES
from emotalk_contract.limits import MAX_BATCH
from emotalk_contract.recipe import Recipe, Widths
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_export.onnx_export import export_graph
from emotalk_perf.gpu.networks import EMOTALK, EmoTalk

pytestmark = pytest.mark.full

WIDTHS = Widths(512, 512, 1024, 1024)
LAYER_BYTES = 48 * 2**20
"""Weights of one encoder layer: 12 matrices of 1024 x 1024, float32."""
WINDOW = round(Recipe().window_s * SAMPLE_RATE)
ENCODERS = (tensors.CONTENT_ENCODER, tensors.EMOTION_ENCODER)

RUN = """
import sys
import numpy as np
import onnxruntime
from emotalk_contract.configs import longest_axes, axis_sizes, shape
from emotalk_contract.recipe import Recipe, Widths
from emotalk_contract.tensors import GRAPHS

path, name, batch, samples, limit = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
memory = onnxruntime.OrtMemoryInfo(
    "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
)
arena = onnxruntime.OrtArenaCfg({"max_mem": limit, "arena_extend_strategy": 1})
onnxruntime.create_and_register_allocator(memory, arena)
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.use_env_allocators", "1")
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
widths = Widths(512, 512, 1024, 1024)
sizes = axis_sizes(samples, widths) if samples else axis_sizes(16_000, widths) | longest_axes(Recipe())
model = next(graph for graph in GRAPHS if graph.name == name)
given = {t.name: np.zeros((batch, *shape(t, sizes)), np.float32) for t in model.inputs}
try:
    session.run(None, given)
except Exception as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """Encoders of one layer: what a layer keeps is given back before the next, and its weights can be counted."""
    folder = tmp_path_factory.mktemp("arenas")
    trunk = replace(EMOTALK.content, layers=1)
    whole = EmoTalk.make(replace(EMOTALK, content=trunk, emotion=trunk), torch.device("cpu")).module
    modules = dict(zip(tensors.GRAPHS, (whole.frontend, whole.content, whole.emotion, whole.decoder), strict=True))
    paths = {}
    for model, module in modules.items():
        (folder / model.name).mkdir()
        paths[model.name] = export_graph(module, model, WIDTHS, folder / model.name).paths[0]
    return paths


def run(graphs, model, batch, samples, limit):
    command = [sys.executable, "-c", RUN, str(graphs[model.name]), model.name, str(batch), str(samples), str(limit)]
    return subprocess.run(command, capture_output=True, text=True)


def allowed(model):
    return GPU_ARENA_BYTES[model.name] - (23 * LAYER_BYTES if model in ENCODERS else 0)


@pytest.mark.parametrize("model", tensors.GRAPHS, ids=[model.name for model in tensors.GRAPHS])
@pytest.mark.parametrize(("batch", "samples"), [(1, 0), (MAX_BATCH, WINDOW)], ids=["longest", "batch"])
def test_what_may_be_asked_fits(graphs, model, batch, samples):
    said = run(graphs, model, batch, samples, allowed(model))
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize("model", tensors.GRAPHS, ids=[model.name for model in tensors.GRAPHS])
def test_half_of_it_would_be_too_little(graphs, model):
    said = run(graphs, model, 1, 0, allowed(model) // 2)
    assert said.returncode == 1
    assert "Available memory" in said.stderr
