"""Half precision: half the size, float32 at the ends, an error that is measured and small."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from reference import CommandRun

from emotalk_contract import tensors
from emotalk_contract.recipe import Manifest
from emotalk_export.face import EmoTalkFace
from emotalk_export.network import Decoder
from emotalk_export.precision import halve
from emotalk_export.validate import TOLERANCES, Trial, torch_inputs

pytestmark = pytest.mark.torch


@pytest.fixture
def half_repository(half_run: CommandRun) -> Path:
    return half_run.repository


def test_half_graphs(half_repository: Path, small_repository: Path) -> None:
    for model in tensors.GRAPHS:
        path = Path(model.name, "1", "model.onnx")
        graph = onnx.load(half_repository / path).graph
        ends = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
        assert ends == {onnx.TensorProto.FLOAT}
        matrices = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) >= 2 and tensor.dims[0] > 4}
        assert matrices == {onnx.TensorProto.FLOAT16}
        # The positions of the convolutions' short kernels are small; matrices make the size.
        assert (half_repository / path).stat().st_size < 0.6 * (small_repository / path).stat().st_size


def test_norms_softmax_and_positions_stay_whole(half_repository: Path) -> None:
    for model in tensors.GRAPHS:
        loaded = onnx.shape_inference.infer_shapes(onnx.load(half_repository / model.name / "1" / "model.onnx"))
        graph = loaded.graph
        types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
        for node in graph.node:
            if node.op_type in ("LayerNormalization", "Softmax", "Floor", "Ceil"):
                assert types[node.output[0]] == onnx.TensorProto.FLOAT, (model.name, node.op_type)


def test_the_error_is_measured_and_small(half_repository: Path) -> None:
    manifest = Manifest.load(half_repository)
    assert manifest.precision == "fp16"
    measured = manifest.provenance["largest_difference_from_torch"]
    assert 1e-5 < measured["chain"] < TOLERANCES["fp16"].chain / 2
    for name, differences in measured["graphs"].items():
        assert all(1e-5 < value < 0.02 for value in differences.values()), name
    assert manifest.provenance["kept_in_fp32"] == {model.name: [] for model in tensors.GRAPHS}


def test_layers_that_would_overflow_stay_whole(small_face: EmoTalkFace, small_trials: list[Trial]) -> None:
    decoder = small_face.graph(tensors.DECODER)
    assert isinstance(decoder, Decoder)
    # A loud pair of layers: what linear1 gives is 1e5 times larger, what linear2 makes of it the same.
    decoder.linear1.weight = decoder.linear1.weight * 1e5
    decoder.linear1.bias = decoder.linear1.bias * 1e5
    decoder.linear2.weight = decoder.linear2.weight / 1e5
    inputs = torch_inputs(small_trials[1], tensors.DECODER)
    with torch.inference_mode():
        expected = decoder(*inputs)
    assert set(halve(decoder, [inputs])) == {"linear1", "linear2"}
    assert decoder.linear1.weight.dtype == torch.float32
    assert decoder.q.weight.dtype == torch.float16
    with torch.inference_mode():
        found = decoder(*inputs)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 2e-3
