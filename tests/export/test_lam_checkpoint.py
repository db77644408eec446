"""LAM-A2E's checkpoints: as they are downloaded, as they are spelt, and what is said about the rest."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

import seeded
import seeded_lam
from emotalk_export.checkpoint import open_checkpoint
from emotalk_export.errors import (
    AnotherNetwork,
    CheckpointMismatch,
    CheckpointNotFinite,
    CheckpointNotFound,
    CheckpointTruncated,
    CheckpointUnpacked,
    CheckpointUnreadable,
    InvalidAttentionHeads,
    NotACheckpoint,
    WebPage,
)
from emotalk_export.face import open_face
from emotalk_export.lam_checkpoint import LamCheckpoint, read_lam

pytestmark = pytest.mark.torch

State = dict[str, torch.Tensor]
INNER = "pretrained_models/lam_audio2exp_streaming.tar"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inner file: a torch file whose name ends in .tar."""
    return seeded_lam.checkpoint("small", 7, tmp_path_factory.mktemp("released") / "lam_audio2exp_streaming.tar")


@pytest.fixture
def state() -> State:
    return seeded_lam.torch_state("small")


def archived(content: bytes, path: Path, mode: str, name: str = INNER) -> Path:
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("pretrained_models")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        note = tarfile.TarInfo("pretrained_models/README")
        note.size = 5
        archive.addfile(note, io.BytesIO(b"hello"))
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def read(content: object, folder: Path, heads: int | None = 4) -> LamCheckpoint:
    torch.save(content, folder / "lam.tar")
    return read_lam(open_checkpoint(folder / "lam.tar"), heads)


@pytest.mark.parametrize("packed", ["as it comes", "gunzipped", "gzipped by itself", "unpacked"])
def test_the_download_is_taken_at_every_stage(released: Path, tmp_path: Path, packed: str) -> None:
    content, path = released.read_bytes(), tmp_path / "LAM_audio2exp_streaming.tar"
    if packed == "as it comes":
        archived(content, path, "w:gz")
    elif packed == "gunzipped":
        archived(content, path, "w")
    elif packed == "gzipped by itself":
        path.write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)
    checkpoint = read_lam(open_checkpoint(path), 4)
    expected = read_lam(open_checkpoint(released), 4)
    assert checkpoint.size == expected.size
    assert all(torch.equal(value, expected.state[key]) for key, value in checkpoint.state.items())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("spelling", ["released", "module.", "bare", "weight_g", "trainer"])
def test_every_spelling_is_one_network(state: State, tmp_path: Path, spelling: str) -> None:
    content: object = {"state_dict": state}
    if spelling == "module.":
        content = {"state_dict": {f"module.{key}": value for key, value in state.items()}}
    elif spelling == "bare":
        content = {key.removeprefix(seeded_lam.PREFIX): value for key, value in state.items()}
    elif spelling == "weight_g":
        content = {"state_dict": {seeded_lam.renamed(key): value for key, value in state.items()}}
        assert sum(key.endswith(("weight_g", "weight_v")) for key in content["state_dict"]) == 2  # type: ignore[index]
    elif spelling == "trainer":
        content = {"epoch": 3, "state_dict": state, "optimizer": {}, "best_metric_value": 0.5}
    checkpoint = read(content, tmp_path)
    assert (checkpoint.size.styles, checkpoint.size.encoder.layers, checkpoint.size.attention_heads) == (12, 2, 4)
    assert len(checkpoint.unneeded) == 7
    original = state["backbone.audio_encoder.encoder.pos_conv_embed.conv.parametrizations.weight.original0"]
    assert torch.equal(checkpoint.state["audio_encoder.encoder.pos_conv_embed.conv.weight_g"], original)


def test_the_real_size_is_understood() -> None:
    """By its shapes alone: tensors without memory."""
    from emotalk_export.lam_checkpoint import _infer, expected_shapes

    shapes = {key.removeprefix(seeded_lam.PREFIX): shape for key, shape in seeded_lam.shapes("full").items()}
    state = {seeded_lam.renamed(key): torch.empty(shape, device="meta") for key, shape in shapes.items()}
    size = _infer(state, None)
    assert (size.encoder.hidden, size.encoder.layers, size.attention_heads, size.styles) == (768, 12, 12, 12)
    assert (size.hidden, size.style_code, size.transformer_layers) == (512, 64, 0)
    weights = expected_shapes(size)
    assert sum(torch.Size(shape).numel() for shape in weights.values()) == 100_503_540
    assert len(weights) == 242


def test_what_is_missing_is_named(state: State, tmp_path: Path) -> None:
    gone = ["backbone.audio_encoder.encoder.layers.0.attention.k_proj.bias", "backbone.output_proj.weight"]
    for key in gone:
        del state[key]
    state["backbone.extra"] = torch.zeros(1)
    with pytest.raises(CheckpointMismatch, match=r"LAM-A2E's layout.*2 missing.*1 unexpected: extra") as caught:
        read({"state_dict": state}, tmp_path)
    assert caught.value.missing == [key.removeprefix(seeded_lam.PREFIX) for key in gone]


def test_numbers_that_are_none(state: State, tmp_path: Path) -> None:
    state["backbone.decoder.0.1.conv.weight"][0, 0, 0] = float("inf")
    with pytest.raises(CheckpointNotFinite, match=r"decoder\.0\.1\.conv\.weight"):
        read({"state_dict": state}, tmp_path)


@pytest.mark.parametrize("heads", [0, 3, 128])
def test_heads_that_do_not_fit(state: State, tmp_path: Path, heads: int) -> None:
    with pytest.raises(InvalidAttentionHeads, match=rf"attention_heads is {heads}; .*64.*12 in the released"):
        read({"state_dict": state}, tmp_path, heads)


def test_heads_of_64_unless_told(state: State, tmp_path: Path) -> None:
    assert read({"state_dict": state}, tmp_path, None).size.attention_heads == 1


@pytest.mark.parametrize("at", ["archive", "torch file", "gzip head"])
def test_a_download_that_was_cut_off(released: Path, tmp_path: Path, at: str) -> None:
    path = tmp_path / "LAM_audio2exp_streaming.tar"
    content = archived(released.read_bytes(), path, "w:gz").read_bytes()
    if at == "torch file":
        content = released.read_bytes()
    path.write_bytes(content[: 20 if at == "gzip head" else len(content) // 2])
    with pytest.raises(CheckpointTruncated, match=r"LAM_audio2exp_streaming\.tar \(\d+ bytes\).*cut off"):
        open_checkpoint(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["folder", "index", "archive of the parts"])
def test_unpacked_once_too_often(released: Path, tmp_path: Path, kind: str) -> None:
    with zipfile.ZipFile(released) as parts:
        parts.extractall(tmp_path / "parts")  # noqa: S202  # our own file
    index = next((tmp_path / "parts").rglob("data.pkl"))
    path = {"folder": index.parent, "index": index}.get(kind, tmp_path / "again.tar")
    if kind == "archive of the parts":
        archived(index.read_bytes(), path, "w:gz", "lam/data.pkl")
    with pytest.raises(CheckpointUnpacked, match=r"unpacked once too often.*accepted: the"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html><title>Sign in</title></html>", "a web page"),
        (b"\n  <html>404</html>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer"),
    ],
)
def test_what_a_failed_download_leaves(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "LAM_audio2exp_streaming.tar"
    path.write_bytes(content)
    with pytest.raises(WebPage, match=said):
        open_checkpoint(path)


def test_archives_of_something_else(tmp_path: Path) -> None:
    path = archived(b"RIFF....", tmp_path / "voices.tar.gz", "w:gz", "voice.wav")
    with pytest.raises(CheckpointUnreadable, match=r"holds pretrained_models, pretrained_models/README, voice\.wav"):
        open_checkpoint(path)
    (tmp_path / "log.gz").write_bytes(gzip.compress(b"all is well"))
    with pytest.raises(CheckpointUnreadable, match="a gzip file of something else"):
        open_checkpoint(tmp_path / "log.gz")
    with pytest.raises(CheckpointNotFound):
        open_checkpoint(tmp_path)


def test_each_network_has_its_option(released: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(AnotherNetwork, match=r"small\.pth holds EmoTalk's weights \(`--checkpoint` takes them\)"):
        open_face(small_checkpoint, 4, "lam")
    with pytest.raises(AnotherNetwork, match=r"holds LAM-A2E's weights \(`--lam` takes them\)"):
        open_face(released, 4)
    encoder = "audio_encoder_cont."
    wav2vec2 = {
        key.replace(encoder, "wav2vec2."): torch.from_numpy(value)
        for key, value in seeded.state(seeded.shapes("small"), 7).items()
        if key.startswith(encoder)
    }
    torch.save(wav2vec2, tmp_path / "pytorch_model.bin")
    for layout in ("emotalk", "lam"):
        with pytest.raises(AnotherNetwork, match=r"a wav2vec 2\.0 encoder by itself.*gives no face"):
            open_face(tmp_path / "pytorch_model.bin", 4, layout)  # type: ignore[arg-type]  # a word of Layout
    torch.save({"format": "emotalk-compact-1"}, tmp_path / "compact.pt")
    with pytest.raises(AnotherNetwork, match="compact face"):
        open_face(tmp_path / "compact.pt", None, "lam")
    torch.save({"format": "emotalk-compact-99"}, tmp_path / "compact.pt")
    with pytest.raises(NotACheckpoint, match="emotalk-compact-99"):
        open_face(tmp_path / "compact.pt", None, "lam")
