"""The bundled face model goes the same way: its own layout, its own recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from emotalk_contract import tensors
from emotalk_contract.recipe import Manifest
from emotalk_export.errors import CheckpointError, UnsupportedPrecision
from emotalk_export.exporter import export
from emotalk_export.face import CompactFaceModel, open_face

pytestmark = pytest.mark.torch

compact = pytest.importorskip("emotalk_export.compact")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("compact") / "face.pt"
    config = compact.CompactConfig(content_blocks=2, content_blocks_ahead=1, emotion_blocks=2, emotion_blocks_ahead=1)
    torch.save(compact.CompactFace(config).to_checkpoint({"trained_on": "nothing"}), path)
    return path


def test_its_repository(checkpoint: Path, tmp_path: Path) -> None:
    face = open_face(checkpoint)
    assert isinstance(face, CompactFaceModel)
    assert face.recipe.normalisation == "none"
    assert face.recipe.frame_grid == "uniform"
    export(checkpoint, tmp_path / "repository")
    manifest = Manifest.load(tmp_path / "repository")
    assert manifest.recipe == face.recipe
    assert manifest.provenance["training"] == {"trained_on": "nothing"}
    assert manifest.provenance["largest_difference_from_torch"]["chain"] < 5e-6
    assert (tmp_path / "repository" / tensors.DECODER.name / "1" / "model.onnx").is_file()


def test_half_precision_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedPrecision, match="fp16; accepted: fp32"):
        export(checkpoint, tmp_path / "repository", precision="fp16")


@pytest.mark.parametrize("part", ["config", "recipe", "state_dict"])
def test_a_part_is_missing(checkpoint: Path, tmp_path: Path, part: str) -> None:
    content = torch.load(checkpoint, weights_only=True)
    del content[part]
    torch.save(content, tmp_path / "face.pt")
    with pytest.raises(CheckpointError, match=part):
        open_face(tmp_path / "face.pt")
