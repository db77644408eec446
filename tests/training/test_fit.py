"""The loop itself: it learns something, writes a checkpoint, and goes on where it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import Humming

from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_training import fit as fit_module
from emotalk_training.dataset import prepare
from emotalk_training.fit import FitOptions, fit, learning_rate
from emotalk_training.make import make

pytestmark = pytest.mark.torch

SMALL = CompactConfig(
    width=16, hidden=16, content_blocks=1, content_blocks_ahead=1, decoder_blocks=1, decoder_hidden=16
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech")
    make(path / "corpus", "hum", Humming(), 0.2, seed=1)
    return prepare([path / "corpus"], path / "cache")


def run(folder: Path, out: Path, **options: int) -> dict[str, Any]:
    threads = torch.get_num_threads()
    try:
        given = FitOptions(**{"steps": 5, "batch": 2, "warmup_steps": 5, "config": SMALL} | options)
        loaded: dict[str, Any] = torch.load(fit(folder, out, given, {"note": "test"}), weights_only=True)
    finally:
        torch.set_num_threads(threads)
    return loaded


def test_a_run_that_is_interrupted_ends_with_the_same_bits(folder: Path, tmp_path: Path, monkeypatch) -> None:
    whole = run(folder, tmp_path / "whole")
    assert whole["provenance"]["steps"] == 5
    assert whole["provenance"]["note"] == "test"
    assert whole["provenance"]["corpora"] == {"hum": 0.2}
    assert CompactFace.from_checkpoint(whole).config == SMALL

    rates = []
    real = fit_module.learning_rate

    def dying(options: FitOptions, step: int) -> float:
        rates.append(step)
        if step == 4:
            raise KeyboardInterrupt
        return real(options, step)

    monkeypatch.setattr(fit_module, "learning_rate", dying)
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "cut", save_every=2)
    monkeypatch.setattr(fit_module, "learning_rate", real)
    cut = run(folder, tmp_path / "cut", save_every=2, workers=2)
    assert rates == [0, 1, 2, 3, 4]
    for name, weights in whole["state_dict"].items():
        torch.testing.assert_close(cut["state_dict"][name], weights, rtol=0, atol=0)


def test_a_run_begins_with_the_weights_of_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "first")
    begun = run(
        folder, tmp_path / "second", start=tmp_path / "first" / "face.pt", steps=1, learning_rate=0.0, warmup_steps=1
    )
    first = torch.load(tmp_path / "first" / "face.pt", weights_only=True)["state_dict"]
    for name, weights in begun["state_dict"].items():
        torch.testing.assert_close(weights, first[name], rtol=0, atol=2e-3)


def test_the_learning_rate_rises_and_then_falls() -> None:
    options = FitOptions(steps=10_000)
    warm = [learning_rate(options, step) for step in (0, 50, 150)]
    late = [learning_rate(options, step) for step in (1000, 5000, 9000, 10_000)]
    assert warm == sorted(warm)
    assert late == sorted(late, reverse=True)
    assert late[-1] > 0
