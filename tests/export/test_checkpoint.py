"""Checkpoint files: what is accepted, and what is said about the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from reference import Network, authors_positions, largest, normalised

import seeded
from emotalk_export.checkpoint import CONTENT_PREFIX, EMOTION_PREFIX, open_checkpoint, read_emotalk
from emotalk_export.errors import (
    CheckpointError,
    CheckpointMismatch,
    CheckpointNotFinite,
    CheckpointNotFound,
    CheckpointUnreadable,
    ExportError,
    InvalidAttentionHeads,
    NotACheckpoint,
)
from emotalk_export.face import EmoTalkFace, open_face

pytestmark = pytest.mark.torch

State = dict[str, torch.Tensor]


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def opened(content: object, folder: Path) -> EmoTalkFace:
    face = open_face(saved(content, folder / "checkpoint.pth"), 4)
    assert isinstance(face, EmoTalkFace)
    return face


def test_released_layout(small_face: EmoTalkFace) -> None:
    checkpoint = small_face.checkpoint
    assert (checkpoint.size.content.layers, checkpoint.size.content.hidden, checkpoint.size.decoder) == (2, 64, 832)
    assert len(checkpoint.unneeded) == 6
    assert set(checkpoint.unneeded) | set(checkpoint.state) == set(seeded.shapes("small"))
    assert not checkpoint.identical_frontends


def test_real_size_is_understood() -> None:
    """By its shapes alone: tensors without memory."""
    from emotalk_export.checkpoint import _infer, expected_shapes

    state = {key: torch.empty(shape, device="meta") for key, shape in seeded.shapes("full").items()}
    size = _infer(state, 16)
    assert (size.content.layers, size.content.hidden, size.content.feed_forward, size.content.conv) == (
        24,
        1024,
        4096,
        512,
    )
    expected = expected_shapes(size)
    unneeded = set(state) - set(expected)
    assert all("lm_head" in key or "masked_spec_embed" in key for key in unneeded)
    assert {key: seeded.shapes("full")[key] for key in expected} == expected


def test_every_fault_is_named_at_once(small_state: State, tmp_path: Path) -> None:
    missing = [EMOTION_PREFIX + "encoder.layers.1.attention.q_proj.bias", "bs_map_r.bias"]
    for key in missing:
        del small_state[key]
    small_state["decoder.extra"] = torch.zeros(1)
    misshapen = CONTENT_PREFIX + "encoder.layers.0.final_layer_norm.weight"
    small_state[misshapen] = torch.zeros(65)
    with pytest.raises(CheckpointMismatch) as caught:
        opened(small_state, tmp_path)
    error = caught.value
    assert error.missing == missing
    assert error.unexpected == ["decoder.extra"]
    assert len(error.misshapen) == 1
    for named in (*missing, "decoder.extra", misshapen, "(65,)", "(64,)", "2 missing", "1 unexpected", "1 misshapen"):
        assert named in str(error)


def test_a_missing_layer_is_missing_whole(small_state: State, tmp_path: Path) -> None:
    layer = CONTENT_PREFIX + "encoder.layers.0."
    gone = [key for key in small_state if key.startswith(layer)]
    with pytest.raises(CheckpointMismatch) as caught:
        opened({key: value for key, value in small_state.items() if key not in gone}, tmp_path)
    assert sorted(caught.value.missing) == sorted(gone)


def test_something_else_entirely_is_no_wall_of_crashes(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch) as caught:
        opened({"conv1.weight": torch.zeros(3, 3)}, tmp_path)
    assert caught.value.unexpected == ["conv1.weight"]
    assert len(caught.value.missing) > 800


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "module."])
def test_what_training_scripts_put_around(small_state: State, tmp_path: Path, wrapper: str) -> None:
    content: object = {wrapper: small_state, "epoch": 3}
    if wrapper == "module.":
        content = {wrapper + key: value for key, value in small_state.items()}
    assert set(opened(content, tmp_path).checkpoint.state) <= set(small_state)


def test_both_spellings_of_weight_norm(small_state: State, small_network: Network, tmp_path: Path) -> None:
    newer = {
        key.replace("conv.weight_g", "conv.parametrizations.weight.original0").replace(
            "conv.weight_v", "conv.parametrizations.weight.original1"
        ): value
        for key, value in small_state.items()
    }
    assert sum("original" in key for key in newer) == 4
    signal, at = normalised(seeded.speechlike(16_000)), authors_positions(16_000, 30)
    found = Network(opened(newer, tmp_path)).weights(signal, at)
    assert largest(found, small_network.weights(signal, at)) == 0


def test_half_precision_weights_are_read(small_state: State, small_network: Network, tmp_path: Path) -> None:
    half = {key: value.half() for key, value in small_state.items()}
    signal, at = normalised(seeded.speechlike(16_000)), authors_positions(16_000, 30)
    found = Network(opened(half, tmp_path)).weights(signal, at)
    assert 0 < largest(found, small_network.weights(signal, at)) < 1e-2


def test_older_file_layout(small_state: State, tmp_path: Path) -> None:
    torch.save(small_state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    open_face(tmp_path / "old.pth", 4)


def test_identical_frontends_are_seen_to_the_bit(small_state: State, tmp_path: Path) -> None:
    part = "feature_extractor."
    for key in [key for key in small_state if key.startswith(CONTENT_PREFIX + part)]:
        small_state[EMOTION_PREFIX + key.removeprefix(CONTENT_PREFIX)] = small_state[key].clone()
    assert opened(small_state, tmp_path).checkpoint.identical_frontends
    bias = small_state[EMOTION_PREFIX + part + "conv_layers.6.conv.bias"]
    bias[0] = torch.nextafter(bias[0], torch.tensor(9.0))
    assert not opened(small_state, tmp_path).checkpoint.identical_frontends


def test_not_finite(small_state: State, tmp_path: Path) -> None:
    small_state["bs_map_r.weight"][3, 4] = float("nan")
    with pytest.raises(CheckpointNotFinite, match=r"bs_map_r\.weight"):
        opened(small_state, tmp_path)


@pytest.mark.parametrize("heads", [0, -4, 3, 128])
def test_heads_that_do_not_fit(small_checkpoint: Path, heads: int) -> None:
    with pytest.raises(InvalidAttentionHeads, match=rf"attention_heads is {heads}; .* 64"):
        open_face(small_checkpoint, heads)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match=r"nothing\.pth"):
        open_checkpoint(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointNotFound):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "code"])
def test_unreadable_files(small_checkpoint: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "broken.pth"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<!doctype html> please log in to download\n" * 40, "utf-8")
    elif kind == "truncated":
        path.write_bytes(small_checkpoint.read_bytes()[:1_000_000])
    else:
        torch.save({"weights": Path("whatever.txt")}, path)  # an object: to build it would run code
    with pytest.raises(CheckpointUnreadable, match=r"broken\.pth \(\d+ bytes\)"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.zeros(3), "a Tensor"),
        ([1, 2], "a list"),
        ({}, "an empty mapping"),
    ],
)
def test_not_a_checkpoint(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(NotACheckpoint, match=said):
        open_checkpoint(saved(content, tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3}, "'epoch' is a int"),
        ({"steps": torch.arange(3)}, r"a tensor of torch\.int64"),
        ({"format": "emotalk-compact-99"}, "emotalk-compact-99"),
        ({"format": "emotalk-compact-1"}, "emotalk-compact-1"),
    ],
)
def test_not_weights(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(NotACheckpoint, match=said):
        open_face(saved(content, tmp_path / "other.pth"))


def test_one_tree_of_errors() -> None:
    for error in (CheckpointMismatch, CheckpointNotFound, CheckpointUnreadable, NotACheckpoint, InvalidAttentionHeads):
        assert issubclass(error, CheckpointError)
    assert issubclass(CheckpointError, ExportError)


def test_reading_is_deterministic(small_checkpoint: Path) -> None:
    first, second = (open_checkpoint(small_checkpoint) for _ in range(2))
    assert first.sha256 == second.sha256
    assert first.size == small_checkpoint.stat().st_size
    assert read_emotalk(first, 4).size == read_emotalk(second, 4).size


class Code:
    """Pickles as a call of ``os.getcwd``."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return os.getcwd, ()


def test_a_checkpoint_with_code_in_it_is_refused_without_the_advice_to_run_it(tmp_path: Path) -> None:
    path = tmp_path / "code.pth"
    torch.save({"weights": Code()}, path)
    with pytest.raises(CheckpointUnreadable, match=r"posix\.getcwd, which is code") as refused:
        open_checkpoint(path)
    assert "False" not in str(refused.value)
    assert "Re-running" not in str(refused.value)
