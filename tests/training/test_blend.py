"""The mean of checkpoints."""

from pathlib import Path

import pytest
import torch

from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_training.blend import blend
from emotalk_training.corpus import CorpusError

pytestmark = pytest.mark.torch

SMALL = {"hidden": 16, "content_blocks": 1, "content_blocks_ahead": 1, "decoder_blocks": 1, "decoder_hidden": 16}


def saved(path: Path, seed: int, width: int = 16) -> Path:
    torch.manual_seed(seed)
    face = CompactFace(CompactConfig(width=width, **SMALL))
    face.decoder.contact_bias.fill_(0.5)
    torch.save(face.to_checkpoint({"steps": seed}, half=False), path)
    return path


def test_weights_are_blended_and_told(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "one.pt", 1), saved(tmp_path / "other.pt", 2)
    blend([(one, 0.25), (other, 0.75)], tmp_path / "out.pt")
    first, second, out = (torch.load(path, weights_only=True) for path in (one, other, tmp_path / "out.pt"))
    name = "transformer_decoder.mouth.weight"
    expected = 0.25 * first["state_dict"][name] + 0.75 * second["state_dict"][name]
    torch.testing.assert_close(out["state_dict"][name].float(), expected, rtol=0, atol=1e-3)
    assert out["state_dict"]["transformer_decoder.contact_bias"].tolist() == [0, 0]
    assert out["provenance"] == {"steps": 2, "share": 0.75, "blend": [{"steps": 1, "share": 0.25}]}
    blend([(tmp_path / "out.pt", 0.1), (one, 0.9)], tmp_path / "again.pt")  # a part that is a blend has a share already
    again = torch.load(tmp_path / "again.pt", weights_only=True)["provenance"]
    assert (again["share"], [each["share"] for each in again["blend"]]) == (0.9, [0.1])


def test_what_cannot_be_blended_is_said(tmp_path: Path) -> None:
    one, wide = saved(tmp_path / "one.pt", 1), saved(tmp_path / "wide.pt", 2, width=32)
    with pytest.raises(CorpusError, match="add up to 1"):
        blend([(one, 0.5), (one, 0.6)], tmp_path / "out.pt")
    with pytest.raises(CorpusError, match="different sizes"):
        blend([(one, 0.5), (wide, 0.5)], tmp_path / "out.pt")
