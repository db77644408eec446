"""What int8 graphs are made of, each part by itself: fitted rounding, scales by row, attention as one operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnxscript import ir
from torch import nn

from emotalk_contract.tensors import Model, Tensor
from emotalk_export.fused_attention import fuse_attention
from emotalk_export.int8 import Plan, quantise
from emotalk_export.layers import Convolution, Linear, attention
from emotalk_export.onnx_export import export_graph
from emotalk_export.rounding import fitted, nearest
from emotalk_export.validate import open_session

pytestmark = pytest.mark.torch


def written(
    module: nn.Module, example: torch.Tensor, folder: Path, rewrite: Callable[[ir.Model], object]
) -> onnxruntime.InferenceSession:
    """``module``, [B, time, C] to the same, as a graph of its own, after ``rewrite``."""
    width = module(example).shape[2]
    x = Tensor("X", "FP32", ("frames", example.shape[2]), "what goes in")
    y = Tensor("Y", "FP32", ("rows", width), "what comes out")
    model = Model("part", (x,), (y,))

    def rewritten(graph: ir.Model) -> None:
        rewrite(graph)

    files = export_graph(module.eval(), model, {}, folder, rewrite=rewritten, arguments=(example,))
    return open_session(files.graph)


def run(session: onnxruntime.InferenceSession, x: torch.Tensor) -> NDArray[np.float32]:
    result: NDArray[np.float32] = session.run(None, {"X": x.numpy()})[0]
    return result


@pytest.mark.parametrize("inputs", [96, 300])
def test_fitted_weights_err_less_in_the_product_than_the_nearest_do(inputs: int) -> None:
    """Within a block of rows, and over several."""
    generator = np.random.default_rng(0)
    mixed = generator.standard_normal((600, 8)) @ generator.standard_normal((8, inputs))
    x = (mixed + 0.1 * generator.standard_normal((600, inputs))).astype(np.float32)
    weight = generator.standard_normal((inputs, 40)).astype(np.float32)
    errors = []
    for whole, scale in (nearest(weight), fitted(weight, torch.from_numpy(x.T @ x))):
        assert whole.dtype == np.int8
        assert np.abs(whole.astype(int)).max() <= 127
        errors.append(np.abs(x @ (whole * scale) - x @ weight).mean())
    assert errors[1] < 0.25 * errors[0]


@pytest.mark.parametrize("moment", ["independent", "nothing"])
def test_where_inputs_have_nothing_in_common_the_nearest_is_best(moment: str) -> None:
    weight = np.random.default_rng(1).standard_normal((130, 7)).astype(np.float32)
    weight[:, 3] = 0
    whole, scale = fitted(weight, torch.eye(130) * (moment == "independent"))
    np.testing.assert_array_equal(whole, nearest(weight)[0])
    np.testing.assert_array_equal(scale, nearest(weight)[1])


class Rows(nn.Module):
    """A convolution as a product, of what a GELU gives."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = Convolution(torch.randn(48, 64, 3), torch.full((48,), bias), stride=2)
        self.convolution.as_product()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.convolution(torch.nn.functional.gelu(x))
        return -result  # no layer of the networks ends a graph


@pytest.mark.parametrize("bias", [0.0, 3.0])
def test_every_row_has_a_scale_of_its_own(bias: float, tmp_path: Path) -> None:
    """A frame at a thousandth of the loudest keeps its figures, whoever else is in the batch."""
    module = Rows(bias)
    x = torch.randn(2, 41, 64)
    plan = Plan(("convolution",), (), by_row=frozenset(["convolution"]))
    session = written(module, x, tmp_path, lambda model: quantise(model, plan))
    x[0, 20:] *= 1e-3
    x[1] = 0
    with torch.inference_mode():
        expected = module(x).numpy() + bias
    found = run(session, x) + np.float32(bias)
    for rows in (slice(0, 9), slice(10, 20)):
        allowed = 0.03 * np.abs(expected[0, rows]).mean() + 1e-6 * bias
        assert np.abs(found[0, rows] - expected[0, rows]).mean() < allowed
    np.testing.assert_array_equal(found[1], 0)
    np.testing.assert_array_equal(run(session, x[:1]) + np.float32(bias), found[:1])


class Attended(nn.Module):
    """Attention of four heads, with a mask that hides nothing or without."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.ModuleList(Linear(torch.randn(32, 32) / 6, torch.randn(32)) for _ in range(3))
        self.mask = torch.zeros(4, 1, 1) if masked else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part(x) for part in self.parts)
        return -attention(q, k, v, 4, self.mask)


@pytest.mark.parametrize(("masked", "operators"), [(False, 1), (True, 0)])
def test_attention_without_a_mask_becomes_one_operator_that_gives_the_same(
    masked: bool, operators: int, tmp_path: Path
) -> None:
    counted, module = [], Attended(masked)
    session = written(module, torch.randn(2, 50, 32), tmp_path, lambda model: counted.append(fuse_attention(model)))
    assert counted == [operators]
    kinds = {node.op_type for node in ir.load(tmp_path / "model.onnx").graph}
    assert ("MultiHeadAttention" in kinds) == bool(operators)
    assert bool({"Softmax", "Transpose"} & kinds) == masked
    for x in (torch.randn(2, 50, 32), torch.randn(3, 77, 32)):
        with torch.inference_mode():
            np.testing.assert_allclose(run(session, x), module(x).numpy(), atol=5e-6)
