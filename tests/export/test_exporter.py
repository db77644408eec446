"""The repository as a whole: what is in it, and that the old one is replaced whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from emotalk_contract import tensors
from emotalk_contract.recipe import Manifest, Recipe, Widths
from emotalk_contract.repository import bundled, stale_configs
from emotalk_export import exporter, swap
from emotalk_export.errors import CheckpointNotFound, NotARepository, RepositoryNotWritable, ValuesDiffer
from emotalk_export.exporter import export

pytestmark = pytest.mark.torch


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_repository_is_complete(small_repository: Path) -> None:
    files = set(small_repository.with_suffix(".txt").read_text().splitlines())
    for model in tensors.GRAPHS:
        assert f"{model.name}/1/model.onnx" in files
    for model in (tensors.PREPROCESS, tensors.POSTPROCESS):
        assert f"{model.name}/1/model.py" in files
        ours = (bundled() / model.name / "1" / "model.py").read_bytes()
        assert (small_repository / model.name / "1" / "model.py").read_bytes() == ours
    assert {f"{model.name}/config.pbtxt" for model in (*tensors.STEPS, tensors.ENSEMBLE)} <= files
    assert not any(name.startswith(tensors.LIVE.name) for name in files)  # EmoTalk does not stream
    assert "MANIFEST.json" in files
    assert not any("__pycache__" in name for name in files)
    assert stale_configs(small_repository) == []


def test_manifest(small_repository: Path, small_checkpoint: Path) -> None:
    manifest = Manifest.load(small_repository)
    provenance = manifest.provenance
    digest = hashlib.sha256(small_checkpoint.read_bytes()).hexdigest()
    assert manifest.model == f"EmoTalk (user's checkpoint {digest[:12]})"
    names = tuple(f"emotion_{number}" for number in range(7))
    assert manifest.recipe == Recipe(detected_emotions=names)
    assert manifest.widths == Widths(
        content_features=32, emotion_features=32, content=64, emotion=64, detected_emotions=7
    )
    assert manifest.precision == "fp32"
    assert provenance["checkpoint"] == {"sha256": digest, "bytes": small_checkpoint.stat().st_size}
    assert provenance["dimensions"]["attention_heads"] == 4
    assert provenance["identical_frontends"] is False
    for model in tensors.GRAPHS:
        path = small_repository / model.name / "1" / "model.onnx"
        assert provenance["graphs"][model.name] == {
            "model.onnx": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        }
    assert set(provenance["versions"]) >= {"emotalk-triton", "torch", "onnx", "onnxruntime"}
    text = json.dumps(provenance)
    assert str(small_repository.parent) not in text
    assert str(small_checkpoint.parent) not in text


@pytest.fixture
def old_repository(small_repository: Path, tmp_path: Path) -> Path:
    """Something small that looks like a repository."""
    folder = tmp_path / "served" / "repository"
    (folder / "emotalk" / "1").mkdir(parents=True)
    (folder / "emotalk" / "config.pbtxt").write_text("old", "utf-8")
    (folder / "MANIFEST.json").write_bytes((small_repository / "MANIFEST.json").read_bytes())
    return folder


def test_interrupted_export_leaves_the_old_repository(small_checkpoint: Path, old_repository: Path) -> None:
    before = tree(old_repository)
    seen: list[str] = []

    def stop(what: str, done: int, total: int) -> None:
        seen.append(what)
        if done == 2:
            siblings = list(old_repository.parent.iterdir())
            assert len(siblings) == 2  # the new one is being written beside it
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(small_checkpoint, old_repository, attention_heads=4, progress=stop)
    assert seen == ["reading small.pth", "exporting wav2vec_frontend", "checking wav2vec_frontend against torch"]
    assert tree(old_repository) == before
    assert list(old_repository.parent.iterdir()) == [old_repository]


def test_a_failed_check_leaves_the_old_repository(
    small_checkpoint: Path, old_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(old_repository)
    tight = exporter.TOLERANCES["fp32"]
    monkeypatch.setitem(exporter.TOLERANCES, "fp32", type(tight)(graph=1e-9, chain=1e-9))
    with pytest.raises(ValuesDiffer, match="wav2vec_frontend"):
        export(small_checkpoint, old_repository, attention_heads=4)
    assert tree(old_repository) == before
    assert list(old_repository.parent.iterdir()) == [old_repository]


def _write_two_files(*arguments: object) -> Manifest:
    folder = arguments[1]
    assert isinstance(folder, Path)
    (folder / "emotalk").mkdir()
    (folder / "emotalk" / "config.pbtxt").write_text("new", "utf-8")
    return Manifest("new", Recipe(), Widths(1, 1, 1, 1))


@pytest.mark.parametrize("exchange", [True, False], ids=["exchanged", "renamed twice"])
def test_replacing(
    small_checkpoint: Path, old_repository: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    monkeypatch.setattr(exporter, "_write", _write_two_files)
    if not exchange:
        monkeypatch.setattr(swap, "_exchange", lambda *_: False)
    (old_repository / "README.md").write_text("mine", "utf-8")
    steps: list[tuple[int, int]] = []
    export(
        small_checkpoint, old_repository, attention_heads=4, progress=lambda _, done, total: steps.append((done, total))
    )
    # A file that somebody put there stays; the models are the new ones alone.
    assert tree(old_repository) == {"emotalk/config.pbtxt": b"new", "README.md": b"mine"}
    assert list(old_repository.parent.iterdir()) == [old_repository]
    assert steps[-1] == (10, 10)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(old_repository.stat().st_mode) == 0o777 & ~mask  # a server of another user may read it


def test_exchange_is_one_step(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not swap._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system cannot exchange names")
    assert (tmp_path / "one" / "other").exists()
    assert (tmp_path / "other" / "one").exists()


def test_a_failed_rename_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, folder = tmp_path / "fresh", tmp_path / "folder"
    fresh.mkdir()
    folder.mkdir()
    (folder / "old").touch()
    monkeypatch.setattr(swap, "_exchange", lambda *_: False)
    right: Callable[[Path, Path], Path] = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path == fresh:
            raise OSError("no")
        return right(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="no"):
        swap.swap(fresh, folder)
    assert (folder / "old").exists()


def test_new_and_empty_folders(small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "_write", _write_two_files)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty"):
        export(small_checkpoint, folder, attention_heads=4)
        assert set(tree(folder)) == {"emotalk/config.pbtxt"}


def test_a_link_to_a_repository_stays_a_link(
    small_checkpoint: Path, old_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "_write", _write_two_files)
    link = old_repository.parent / "current"
    link.symlink_to(old_repository.name)
    export(small_checkpoint, link, attention_heads=4)
    assert link.is_symlink()
    assert set(tree(old_repository)) == {"emotalk/config.pbtxt"}


def _home(folder: Path) -> None:
    (folder / "thesis.tex").write_text("years of work", "utf-8")


def _other_models(folder: Path) -> None:
    _home(folder)
    (folder / "emotalk").mkdir()
    (folder / "my_own_model").mkdir()


@pytest.mark.parametrize(("fill", "named"), [(_home, r"thesis\.tex"), (_other_models, "my_own_model")])
def test_other_things_are_never_replaced(
    small_checkpoint: Path, tmp_path: Path, fill: Callable[[Path], None], named: str
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    fill(folder)
    before = tree(folder)
    with pytest.raises(NotARepository, match=named):
        export(small_checkpoint, folder, attention_heads=4)
    assert tree(folder) == before


def test_a_file_is_no_repository(small_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotARepository, match="is a file"):
        export(small_checkpoint, tmp_path / "file", attention_heads=4)


def test_a_place_that_cannot_be_written(small_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryNotWritable):
        export(small_checkpoint, tmp_path / "file" / "repository", attention_heads=4)


def test_a_missing_checkpoint_touches_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound):
        export(tmp_path / "EmoTalk.pth", tmp_path / "repository")
    assert list(tmp_path.iterdir()) == []
