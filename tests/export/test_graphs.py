"""The ONNX graphs: names, axes, operators, bytes, weights beside them."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from emotalk_contract import tensors
from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import Manifest, Recipe, Widths
from emotalk_contract.tensors import Model
from emotalk_export.checkpoint import CONTENT_PREFIX, EMOTION_PREFIX
from emotalk_export.errors import GraphExportFailed
from emotalk_export.face import EmoTalkFace, open_face
from emotalk_export.onnx_export import examples, export_graph
from emotalk_export.validate import Trial, open_session, validate_chain, validate_graph

pytestmark = pytest.mark.torch

GRAPHS = pipeline(Recipe(detected_emotions=tuple("abcdefg"))).graphs
"""Of EmoTalk with its emotion head."""
ENCODERS = (tensors.FRONTEND, tensors.CONTENT_ENCODER, tensors.EMOTION_ENCODER)


def graph_path(repository: Path, model: Model) -> Path:
    return repository / model.name / "1" / "model.onnx"


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


@pytest.mark.parametrize("model", GRAPHS, ids=lambda model: model.name)
def test_names_types_and_axes_are_the_contract_s(small_repository: Path, model: Model) -> None:
    graph = onnx.load(graph_path(small_repository, model)).graph
    widths = {"content_features": 32, "emotion_features": 32, "content": 64, "emotion": 64, "styles": 24}
    widths["detected_emotions"] = 7
    for values, contract in ((graph.input, model.inputs), (graph.output, model.outputs)):
        found = [
            (
                value.name,
                value.type.tensor_type.elem_type,
                [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
            )
            for value in values
        ]
        assert found == [
            (tensor.name, onnx.TensorProto.FLOAT, ["batch", *(widths.get(str(axis), axis) for axis in tensor.axes)])
            for tensor in contract
        ]


@pytest.mark.parametrize("model", tensors.GRAPHS, ids=lambda model: model.name)
def test_onnx_s_own_checker_accepts_them(small_repository: Path, model: Model) -> None:
    onnx.checker.check_model(graph_path(small_repository, model), full_check=True)


@pytest.mark.parametrize("model", ENCODERS, ids=lambda model: model.name)
def test_encoders_compute_no_shapes(small_repository: Path, model: Model) -> None:
    assert not operators(graph_path(small_repository, model)).keys() & {
        "Shape",
        "Range",
        "Concat",
        "Size",
        "Where",
        "If",
    }


def test_weights_need_no_transposing(small_repository: Path) -> None:
    """As they lie in the file, so that a session makes no second copy of them."""
    for model in tensors.GRAPHS:
        graph = onnx.load(graph_path(small_repository, model)).graph
        weights = {tensor.name for tensor in graph.initializer}
        assert not [node.name for node in graph.node if node.op_type == "Transpose" and node.input[0] in weights]


def test_nothing_tells_of_the_machine(small_repository: Path) -> None:
    for model in tensors.GRAPHS:
        content = graph_path(small_repository, model).read_bytes()
        for trace in (b"stack_trace", b"site-packages", b".py", str(Path.home()).encode()):
            assert trace not in content


def test_same_weights_give_the_same_bytes(small_face: EmoTalkFace, small_repository: Path, tmp_path: Path) -> None:
    model = tensors.DECODER
    again = export_graph(small_face.graph(model), model, small_face.widths, tmp_path)
    assert again.data is None
    assert again.graph.read_bytes() == graph_path(small_repository, model).read_bytes()


def test_large_weights_lie_beside_the_graph(small_face: EmoTalkFace, small_trials: list[Trial], tmp_path: Path) -> None:
    model = tensors.CONTENT_ENCODER
    written, moved = tmp_path / "written", tmp_path / "moved"
    written.mkdir()
    files = export_graph(small_face.graph(model), model, small_face.widths, written, inline_limit=100_000)
    assert files.data is not None
    assert [path.name for path in files.paths] == ["model.onnx", "model.onnx.data"]
    assert files.graph.stat().st_size < 100_000 < files.data.stat().st_size
    shutil.move(written, moved)
    assert max(validate_graph(moved / "model.onnx", model, small_trials, "fp32").values()) < 1e-5


def test_identical_frontends_are_computed_once(
    small_state: dict[str, torch.Tensor], small_repository: Path, tmp_path: Path
) -> None:
    for key in [key for key in small_state if key.startswith(CONTENT_PREFIX + "feature_extractor.")]:
        small_state[EMOTION_PREFIX + key.removeprefix(CONTENT_PREFIX)] = small_state[key]
    torch.save(small_state, tmp_path / "twins.pth")
    face = open_face(tmp_path / "twins.pth", 4)
    model = tensors.FRONTEND
    files = export_graph(face.graph(model), model, face.widths, tmp_path)
    assert operators(files.graph)["Conv"] == 7
    assert operators(graph_path(small_repository, model))["Conv"] == 14
    (audio,) = examples(model, face.widths, 16_000, 2)
    content, emotion = open_session(files.graph).run(None, {"NETWORK_AUDIO": audio.numpy()})
    assert content.tobytes() == emotion.tobytes()
    with torch.inference_mode():
        expected = face.graph(model)(audio)[0].numpy()
    assert np.abs(content - expected).max() < 1e-5


class _FixedLength(nn.Module):
    """Works for the example's length alone."""

    def forward(
        self, content: torch.Tensor, emotion: torch.Tensor, level: torch.Tensor, style: torch.Tensor
    ) -> torch.Tensor:
        return content[:, :, :52] + emotion[:, :, :52] * torch.ones(30, 52) + level.sum() + style.sum()


def test_an_axis_that_cannot_vary_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GraphExportFailed, match="emotalk_decoder"):
        export_graph(_FixedLength().eval(), tensors.DECODER, Widths(32, 32, 64, 64), tmp_path)


def test_a_width_that_is_not_the_contract_s_is_an_error(tmp_path: Path) -> None:
    class Wide(nn.Module):
        def forward(
            self, content: torch.Tensor, emotion: torch.Tensor, level: torch.Tensor, style: torch.Tensor
        ) -> torch.Tensor:
            return content[:, :, :51] + emotion[:, :, :51] + level.sum() + style.sum()

    with pytest.raises(GraphExportFailed, match=r"RAW_BLENDSHAPES: an axis is 51; the contract says 52"):
        export_graph(Wide().eval(), tensors.DECODER, Widths(32, 32, 64, 64), tmp_path)


def test_manifest_says_what_was_measured(small_repository: Path, small_trials: list[Trial]) -> None:
    """Measure it again: the numbers in the manifest are no decoration."""
    provenance = Manifest.load(small_repository).provenance["largest_difference_from_torch"]
    for model in GRAPHS:
        found = validate_graph(graph_path(small_repository, model), model, small_trials, "fp32")
        for name, value in found.items():
            assert 0 < provenance["graphs"][model.name][name] < 1e-5
            assert value < 1e-5
    assert 0 < provenance["chain"] < 5e-6
    assert validate_chain(small_trials, "fp32") < 5e-6
