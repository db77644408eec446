"""An export that proves itself must be able to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from emotalk_contract import tensors
from emotalk_contract.recipe import Recipe, Widths
from emotalk_export.errors import NamesDiffer, ShapesDiffer, ValuesDiffer
from emotalk_export.validate import CASES, Trial, trials, validate_chain, validate_graph

pytestmark = pytest.mark.torch

DECODER = tensors.DECODER


def changed(repository: Path, folder: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    model = onnx.load(repository / DECODER.name / "1" / "model.onnx")
    change(model.graph)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new


@pytest.mark.parametrize(("old", "kind"), [("LEVEL_CODE", "inputs"), ("RAW_BLENDSHAPES", "outputs")])
def test_another_name(small_repository: Path, small_trials: list[Trial], tmp_path: Path, old: str, kind: str) -> None:
    path = changed(small_repository, tmp_path, lambda graph: rename(graph, old, "input_1"))
    with pytest.raises(NamesDiffer, match=rf"emotalk_decoder: the graph's {kind} are .*input_1.*{old}"):
        validate_graph(path, DECODER, small_trials, "fp32")


def test_another_order_of_inputs(small_repository: Path, small_trials: list[Trial], tmp_path: Path) -> None:
    def swap(graph: onnx.GraphProto) -> None:
        first = graph.input.pop(0)
        graph.input.append(first)

    with pytest.raises(NamesDiffer):
        validate_graph(changed(small_repository, tmp_path, swap), DECODER, small_trials, "fp32")


def _one_frame_less(graph: onnx.GraphProto) -> None:
    rename(graph, "RAW_BLENDSHAPES", "whole")
    graph.output[0].name = "RAW_BLENDSHAPES"
    graph.output[0].type.tensor_type.shape.dim[1].dim_param = "fewer"
    for name, value in (("from", [1]), ("to", [2**40]), ("axis", [1])):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    graph.node.append(onnx.helper.make_node("Slice", ["whole", "from", "to", "axis"], ["RAW_BLENDSHAPES"]))


def _doubles(graph: onnx.GraphProto) -> None:
    rename(graph, "RAW_BLENDSHAPES", "single")
    graph.output[0].name = "RAW_BLENDSHAPES"
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    graph.node.append(onnx.helper.make_node("Cast", ["single"], ["RAW_BLENDSHAPES"], to=onnx.TensorProto.DOUBLE))


@pytest.mark.parametrize(("change", "said"), [(_one_frame_less, r"float32 \[1, 1, 52\]"), (_doubles, "float64")])
def test_another_shape_or_type(
    small_repository: Path,
    small_trials: list[Trial],
    tmp_path: Path,
    change: Callable[[onnx.GraphProto], None],
    said: str,
) -> None:
    with pytest.raises(ShapesDiffer, match=said):
        validate_graph(changed(small_repository, tmp_path, change), DECODER, small_trials, "fp32")


@pytest.mark.parametrize("shift", [3e-4, float("nan")])
def test_other_values(small_repository: Path, small_trials: list[Trial], tmp_path: Path, shift: float) -> None:
    def move(graph: onnx.GraphProto) -> None:
        bias = next(tensor for tensor in graph.initializer if list(tensor.dims) == [52])
        values = numpy_helper.to_array(bias).copy()
        values[24] += shift
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))

    with pytest.raises(ValuesDiffer, match="RAW_BLENDSHAPES is up to") as caught:
        validate_graph(changed(small_repository, tmp_path, move), DECODER, small_trials, "fp32")
    assert np.isnan(shift) or caught.value.largest == pytest.approx(shift, rel=0.05)


def test_a_chain_that_drifts(small_trials: list[Trial]) -> None:
    name = tensors.RAW_BLENDSHAPES.name
    for trial in small_trials:
        trial.actual[name] = trial.expected[name].copy()
    assert validate_chain(small_trials, "fp32") == 0
    small_trials[1].actual[name][2, 7, 24] += 1e-4
    with pytest.raises(ValuesDiffer, match="graphs together") as caught:
        validate_chain(small_trials, "fp32")
    assert caught.value.largest == pytest.approx(1e-4, rel=0.01)


def test_trials_cover_what_varies() -> None:
    widths = Widths(32, 32, 64, 64)
    running = trials(widths, Recipe())
    assert len({trial.sizes["frames"] for trial in running}) == 1 + len(CASES)
    assert {trial.batch for trial in running} >= {1, 2, 3}
    assert min(trial.sizes["network_samples"] for trial in running) == 720
    for trial in running:
        audio = trial.expected["NETWORK_AUDIO"]
        assert audio.dtype == np.float32
        assert np.allclose(audio.std(1), 1, atol=1e-3)
        assert len(np.unique(audio, axis=0)) == trial.batch  # every item is another clip
        assert trial.expected["EMOTION_POSITIONS"].shape == (trial.batch, trial.sizes["steps"])
    raw = trials(widths, Recipe(normalisation="none", frame_grid="uniform"))
    assert raw[1].expected["NETWORK_AUDIO"].std() < 0.5
    again = trials(widths, Recipe())
    assert all(
        one.expected[name].tobytes() == other.expected[name].tobytes()
        for one, other in zip(running, again, strict=True)
        for name in one.expected
    )
