"""The loop itself: it learns something, writes a checkpoint, and goes on where it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training import Humming

from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_training.dataset import prepare
from emotalk_training.fit import FitOptions, fit, learning_rate, mask_bands
from emotalk_training.make import make

pytestmark = pytest.mark.torch

SMALL = CompactConfig(
    width=16, hidden=16, content_blocks=1, content_blocks_ahead=1, decoder_blocks=1, decoder_hidden=16
)


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    make(tmp_path / "corpus", "hum", Humming(), 0.2, seed=1)
    folder = prepare([tmp_path / "corpus"], tmp_path / "cache")
    options = FitOptions(steps=3, batch=2, warmup_steps=5, config=SMALL)
    threads = torch.get_num_threads()
    try:
        first = torch.load(fit(folder, tmp_path / "run", options, {"note": "test"}), weights_only=True)
        second = torch.load(fit(folder, tmp_path / "run", replace(options, steps=5), {}), weights_only=True)
    finally:
        torch.set_num_threads(threads)
    assert (first["provenance"]["steps"], second["provenance"]["steps"]) == (3, 5)
    assert first["provenance"]["note"] == "test"
    assert first["provenance"]["corpora"] == {"hum": 0.2}
    assert CompactFace.from_checkpoint(second).config == SMALL
    assert any(not torch.equal(first["state_dict"][k], second["state_dict"][k]) for k in first["state_dict"])


def test_the_learning_rate_rises_with_steps_and_falls_with_time() -> None:
    options = FitOptions()
    warm = [learning_rate(options, step, 0.0) for step in (0, 50, 200)]
    late = [learning_rate(options, 10_000, share) for share in (0.1, 0.5, 0.9, 1.0, 2.0)]
    assert warm == sorted(warm)
    assert late == sorted(late, reverse=True)
    assert late[-1] == late[-2] > 0


def test_masked_bands_are_empty_and_loudness_is_never_masked() -> None:
    spectra = mask_bands(torch.ones(64, 81, 10), np.random.default_rng(0))
    masked = (spectra[:, :, 0] != 1).sum(1)
    assert 0.2 < (masked > 0).float().mean() < 0.6
    assert masked.max() <= 14
    assert (spectra[:, 80] == 1).all()
