"""LAM-A2E as a model repository: what is in it, in every precision, by the command as a person would use it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from typer.testing import CliRunner

import seeded_lam
from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import Manifest, Precision
from emotalk_export import cli, int8
from emotalk_export.exporter import export
from emotalk_export.face import LamFace, open_face
from emotalk_export.validate import TOLERANCES, run_torch, torch_inputs, trials

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded_lam.checkpoint("small", seeded_lam.SEED, tmp_path_factory.mktemp("released") / "lam.tar")


def test_the_repository_has_three_graphs_and_says_what_they_need(lam_repository: Path) -> None:
    manifest = Manifest.load(lam_repository)
    assert (manifest.recipe.styles, manifest.recipe.emotional, manifest.licence) == (12, False, "Apache-2.0")
    assert not (lam_repository / "wav2vec_emotion").exists()
    names = [model.name for model in pipeline(manifest.recipe).graphs]
    assert list(manifest.provenance["graphs"]) == names
    measured = manifest.provenance["largest_difference_from_torch"]
    assert measured["chain"] <= TOLERANCES["fp32"].chain
    assert set(measured["graphs"]["wav2vec_frontend"]) == {"CONTENT_FEATURES"}
    assert len(manifest.provenance["unneeded_keys"]) == 7


def test_names_and_axes_are_the_contracts(lam_repository: Path) -> None:
    widths = {"content_features": 32, "content": 64, "styles": 12, "statistics": 110}
    for model in pipeline(Manifest.load(lam_repository).recipe).graphs:
        graph = onnx.load(lam_repository / model.name / "1" / "model.onnx").graph
        for values, contract in ((graph.input, model.inputs), (graph.output, model.outputs)):
            found = [(v.name, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]) for v in values]
            assert found == [(t.name, ["batch", *(widths.get(str(axis), axis) for axis in t.axes)]) for t in contract]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_less_precision_proves_itself(released: Path, tmp_path: Path, precision: Precision) -> None:
    manifest = export(released, tmp_path / "out", layout="lam", attention_heads=4, precision=precision)
    assert manifest.provenance["largest_difference_from_torch"]["chain"] < TOLERANCES[precision].chain / 4
    content = onnx.load(tmp_path / "out" / "wav2vec_content" / "1" / "model.onnx").graph
    if precision == "int8":
        assert manifest.provenance["error_on_speech"]["mean_error"] < 0.006
        assert len(manifest.provenance["kept_in_fp32"]["wav2vec_frontend"]) == 4
        assert sum(node.op_type == "DynamicQuantizeMatMul" for node in content.node) >= 12
    else:
        assert any(t.data_type == onnx.TensorProto.FLOAT16 for t in content.initializer)


def test_preparing_for_int8_changes_nothing_that_comes_out(released: Path) -> None:
    face = open_face(released, 4, "lam")
    assert isinstance(face, LamFace)
    running = trials(face.widths, face.recipe)
    frontend, content = (face.graph(model) for model in pipeline(face.recipe).graphs[:2])
    models = pipeline(face.recipe).graphs
    for trial in running:
        run_torch(frontend, models[0], trial)
    inputs = [torch_inputs(trial, models[1]) for trial in running]
    with torch.inference_mode():
        before = [content(*given) for given in inputs]
        plan = int8.prepare(content, inputs)
        after = [content(*given) for given in inputs]
    assert len(plan.quantised) + len(plan.kept) == 12
    for one, other in zip(before, after, strict=True):
        assert (one - other).abs().max() < 2e-5 * max(1, one.abs().max())


def test_the_command(released: Path, tmp_path: Path) -> None:
    arguments = ["--repository", str(tmp_path / "out"), "--attention-heads", "4"]
    done = CliRunner().invoke(cli.application, ["--lam", str(released), *arguments, "--licence", "mine"])
    assert done.exit_code == 0, done.output
    assert Manifest.load(tmp_path / "out").licence == "mine"
    for given in ([], ["--lam", str(released), "--checkpoint", str(released)]):
        refused = CliRunner().invoke(cli.application, [*given, *arguments])
        assert refused.exit_code == 2
        assert "accepted: one of them" in " ".join(refused.output.replace("│", " ").split())
    wrong = CliRunner().invoke(cli.application, ["--checkpoint", str(released), *arguments])
    assert wrong.exit_code == 1
    assert "AnotherNetwork" in wrong.output
    assert "--lam" in wrong.output
