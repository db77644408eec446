"""The committed graphs are what the committed checkpoint gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from emotalk_contract import tensors
from emotalk_contract.recipe import Manifest
from emotalk_contract.repository import VERSION, bundled
from emotalk_export.exporter import export
from emotalk_export.onnx_export import examples

pytestmark = pytest.mark.torch

CHECKPOINT = Path(__file__).parents[2] / "training" / "checkpoints" / "face.pt"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundled") / "repository"
    export(CHECKPOINT, folder)
    return folder


def test_the_manifest_is_the_checkpoints(rebuilt: Path) -> None:
    ours, again = Manifest.load(bundled()), Manifest.load(rebuilt)
    assert (ours.model, ours.recipe, ours.widths, ours.precision) == (
        *(again.model, again.recipe, again.widths, again.precision),
    )
    assert ours.provenance["checkpoint"] == again.provenance["checkpoint"]


@pytest.mark.parametrize("model", tensors.GRAPHS, ids=lambda model: model.name)
def test_the_graphs_compute_what_the_checkpoints_do(rebuilt: Path, model: tensors.Model) -> None:
    manifest = Manifest.load(bundled())
    inputs = examples(model, manifest.widths, samples=24_000, batch=2)
    feed = {tensor.name: value.numpy() for tensor, value in zip(model.inputs, inputs, strict=True)}
    ours, again = (
        onnxruntime.InferenceSession(str(folder / model.name / VERSION / "model.onnx")).run(None, feed)
        for folder in (bundled(), rebuilt)
    )
    for one, other in zip(ours, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
        assert np.abs(one).max() > 1e-3


def test_the_repository_is_small() -> None:
    files = [path for path in bundled().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6


def test_halves_are_stored_as_they_are_in_the_checkpoint() -> None:
    """Half the size, not a bit lost: every float16 tensor of the checkpoint is in a graph, in full."""
    import onnx

    content = torch.load(CHECKPOINT, weights_only=True)["state_dict"]
    wanted = {value.numpy().tobytes() for value in content.values() if value.numel() >= 512 and value.ndim != 2}
    stored = set()
    for model in tensors.GRAPHS:
        graph = onnx.load(bundled() / model.name / VERSION / "model.onnx").graph
        halves = [i for i in graph.initializer if i.data_type == onnx.TensorProto.FLOAT16]
        stored |= {onnx.numpy_helper.to_array(i).tobytes() for i in halves}
    assert wanted <= stored
