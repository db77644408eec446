"""Eight bits: the network stays the same while it is prepared, and what integers cost is small, measured and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn
from typer.testing import CliRunner

import seeded
from emotalk_contract import tensors
from emotalk_contract.recipe import Manifest
from emotalk_contract.tensors import Model
from emotalk_export import cli, int8
from emotalk_export.errors import CalibrationUnreadable, UnsupportedPrecision
from emotalk_export.exporter import export
from emotalk_export.face import Face, open_face
from emotalk_export.layers import Convolution
from emotalk_export.rounding import nearest
from emotalk_export.speech import MOST_PIECES, pieces, sample_voice
from emotalk_export.validate import (
    TOLERANCES,
    Trial,
    channel_errors,
    open_session,
    run_torch,
    speech_trials,
    torch_inputs,
)

pytestmark = pytest.mark.torch

QUANTISED = (tensors.FRONTEND, tensors.CONTENT_ENCODER, tensors.EMOTION_ENCODER)


@pytest.fixture(scope="module")
def outlier_face(tmp_path_factory: pytest.TempPathFactory) -> Face:
    path = tmp_path_factory.mktemp("outliers") / "outliers.pth"
    return open_face(seeded.checkpoint("small", seeded.SEED, path, outliers=True), 4)


@pytest.fixture(scope="module")
def spoken(outlier_face: Face) -> list[Trial]:
    """Speech on its way through torch."""
    trials = speech_trials(pieces([sample_voice()]), outlier_face.widths, outlier_face.recipe)
    for model in tensors.GRAPHS:
        module = outlier_face.graph(model)
        for trial in trials:
            run_torch(module, model, trial)
    return trials


def outputs(module: nn.Module, trial: Trial, model: Model) -> list[torch.Tensor]:
    with torch.inference_mode():
        given = module(*torch_inputs(trial, model))
    return [given] if isinstance(given, torch.Tensor) else list(given)


@pytest.mark.parametrize("model", QUANTISED, ids=lambda model: model.name)
def test_preparing_changes_nothing_that_comes_out(outlier_face: Face, spoken: list[Trial], model: Model) -> None:
    module = outlier_face.graph(model)
    before = {name: value.clone() for name, value in module.named_buffers()}
    plan = int8.prepare(module, [torch_inputs(trial, model) for trial in spoken])
    assert plan.quantised
    assert any(
        value.shape != before[n].shape or not torch.equal(value, before[n]) for n, value in module.named_buffers()
    )
    for found, tensor in zip(outputs(module, spoken[0], model), model.outputs, strict=True):
        expected = spoken[0].expected[tensor.name]
        assert np.abs(found.numpy() - expected).max() < 2e-5 * max(1, np.abs(expected).max())


def test_even_channels_cost_less_and_what_still_costs_much_stays(
    outlier_face: Face, spoken: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tensors.CONTENT_ENCODER
    inputs = [torch_inputs(trial, model) for trial in spoken]
    smoothed = outlier_face.graph(model)
    plan = int8.prepare(smoothed, inputs)
    with monkeypatch.context() as patch:
        patch.setattr(int8, "_smooth", lambda *_: None)
        uneven = outlier_face.graph(model)
        without = int8.prepare(uneven, inputs)
    # What a norm makes uneven is evened out; what a GELU makes uneven cannot be, and is kept.
    assert set(plan.kept) == {f"trunk.layers.{i}.output" for i in range(2)}
    assert set(without.kept) > {
        f"trunk.layers.{i}.{name}" for i in range(2) for name in ("q", "k", "v", "intermediate")
    }
    assert not set(plan.kept) & set(plan.quantised)


def test_a_product_of_taps_is_the_convolution() -> None:
    generator = torch.Generator().manual_seed(1)
    for kernel, stride, length in ((3, 2, 41), (3, 2, 42), (2, 2, 9), (10, 5, 73), (1, 1, 5)):
        weight = torch.rand((6, 4, kernel), generator=generator) - 0.5
        layer = Convolution(weight, torch.rand(6, generator=generator), stride)
        x = torch.rand((2, length, 4), generator=generator)
        expected = layer(x)
        layer.as_product()
        assert layer(x).shape == expected.shape
        assert (layer(x) - expected).abs().max() < 1e-6
    with pytest.raises(ValueError, match="groups are 2"):
        Convolution(torch.zeros(4, 2, 3), torch.zeros(4), groups=2).as_product()


@pytest.mark.parametrize("low", [-3.0, 0.2])
def test_the_estimate_rounds_as_onnx_runtime_does(low: float) -> None:
    x = np.random.Generator(np.random.PCG64(2)).uniform(low, 7.3, (50, 70)).astype(np.float32)
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    ends = [helper.make_tensor_value_info(n, t, None) for n, t in (("y", 2), ("scale", 1), ("zero", 2))]
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [50, 70])], ends)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    y, scale, zero = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    expected = (y.astype(np.float32) - zero) * scale
    assert np.abs(int8._rounded(torch.from_numpy(x)).numpy() - expected).max() < 1.01 * scale
    assert np.abs(int8._rounded(torch.from_numpy(x)).numpy() - expected).mean() < 1e-3 * scale


def test_every_column_has_its_own_scale() -> None:
    weight = np.array([[1.0, 0.002, 0.0], [-0.5, -0.001, 0.0]], np.float32)
    whole, scale = nearest(weight)
    assert whole.tolist() == [[127, 127, 0], [-64, -64, 0]]
    assert scale == pytest.approx([1 / 127, 0.002 / 127, 1])


def test_the_graphs_hold_integers_and_take_float32(int8_repository: Path) -> None:
    for model in QUANTISED:
        graph = onnx.load(int8_repository / model.name / "1" / "model.onnx").graph
        assert {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)} == {TensorProto.FLOAT}
        operators = {node.op_type for node in graph.node}
        assert ("MatMulIntegerToFloat" if model is tensors.FRONTEND else "DynamicQuantizeMatMul") in operators
        large = [t for t in graph.initializer if len(t.dims) == 2 and t.dims[0] >= int8.SMALLEST]
        kept = Manifest.load(int8_repository).provenance["kept_in_fp32"][model.name]
        assert sum(tensor.data_type == TensorProto.FLOAT for tensor in large) == len(kept)
        assert any(tensor.data_type == TensorProto.INT8 for tensor in large)


def test_the_error_on_speech_is_what_the_graphs_give(int8_repository: Path, spoken: list[Trial]) -> None:
    manifest = Manifest.load(int8_repository)
    assert manifest.precision == "int8"
    trials = [replace(trial, actual=dict(trial.expected)) for trial in spoken]
    for model in tensors.GRAPHS:
        session = open_session(int8_repository / model.name / "1" / "model.onnx")
        names = [tensor.name for tensor in model.outputs]
        for trial in trials:
            given = session.run(names, {t.name: trial.actual[t.name] for t in model.inputs})
            trial.actual.update(dict(zip(names, given, strict=True)))
    errors: NDArray[np.float64] = channel_errors(trials)
    said = manifest.provenance["error_on_speech"]
    assert said["mean_error"] == pytest.approx(errors.mean(), rel=0.1)
    assert said["largest_error"] == pytest.approx(errors.max(), rel=0.2)
    assert said["mean_error_by_blendshape"]["jawOpen"] == pytest.approx(errors.mean(0)[24], rel=0.1)
    assert 1e-4 < said["mean_error"] < 5e-3
    assert manifest.provenance["largest_difference_from_torch"]["chain"] < TOLERANCES["int8"].chain / 2


def test_the_command_says_what_it_costs_and_warns(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(mean: float, worst: float) -> str:
        by_channel = dict.fromkeys(
            ("jawOpen", "mouthClose", "browInnerUp", "noseSneerLeft", "eyeBlinkLeft", "cheekPuff"), 0.001
        )
        speech = {"seconds": 10.0, "mean_error": mean, "largest_error": 0.3}
        speech["mean_error_by_blendshape"] = by_channel | {"mouthClose": worst}  # type: ignore[assignment]
        kept = {"wav2vec_content": ["trunk.layers.1.output"]}
        manifest = Manifest.load(Path("model_repository"))
        manifest = replace(manifest, provenance={"error_on_speech": speech, "kept_in_fp32": kept})
        with cli._console.capture() as capture:
            cli._report_speech(manifest)
        return " ".join(capture.get().split())

    monkeypatch.chdir(Path(__file__).parents[2])
    fine = said(0.004, 0.01)
    assert "off by 0.004 on average, by 0.3 at most; most in mouthClose (0.01)" in fine
    assert "Left in float32: wav2vec_content: trunk.layers.1.output" in fine
    assert "warning" not in fine
    assert "warning" in said(0.006, 0.01)
    assert "warning" in said(0.004, 0.03)


def test_calibration_is_spread_over_all_speech_and_must_be_some(tmp_path: Path) -> None:
    rate = 8_000
    tone = np.sin(np.arange(rate * 121) / 5)
    soundfile.write(tmp_path / "long.wav", np.stack([tone, tone], 1) * np.linspace(0, 0.9, len(tone))[:, None], rate)
    found = pieces([tmp_path / "long.wav"])
    assert len(found) == MOST_PIECES
    assert all(piece.shape == (80_000,) and piece.dtype == np.float32 for piece in found)
    loudness = [float(piece.std()) for piece in found]
    assert loudness == sorted(loudness)
    assert loudness[-1] > 10 * loudness[0]

    soundfile.write(tmp_path / "short.wav", tone[: rate * 4], rate)
    with pytest.raises(CalibrationUnreadable, match=r"short\.wav: less than 5 s of speech"):
        pieces([tmp_path / "short.wav"])
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(CalibrationUnreadable, match=r"text\.wav cannot be read as audio"):
        pieces([tmp_path / "text.wav"])
    with pytest.raises(CalibrationUnreadable, match=r"gone\.wav cannot be read as audio"):
        pieces([tmp_path / "gone.wav"])


def test_what_is_wrong_is_one_line_and_nothing_is_written(small_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ["--checkpoint", str(small_checkpoint), "--repository", str(tmp_path / "out"), "--attention-heads", "4"]
    gone = [*arguments, "--precision", "int8", "--calibration", str(tmp_path / "gone.wav")]
    done = CliRunner().invoke(cli.application, gone)
    assert done.exit_code == 1
    assert "CalibrationUnreadable" in done.output
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnsupportedPrecision, match="TensorRT takes none of them; accepted: fp32, fp16"):
        export(small_checkpoint, tmp_path / "out", attention_heads=4, precision="int8", tensorrt=True)
    with pytest.raises(UnsupportedPrecision, match="only int8 is calibrated"):
        export(small_checkpoint, tmp_path / "out", attention_heads=4, calibration=[sample_voice()])
