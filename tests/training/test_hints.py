"""What a pretrained encoder hears, in few numbers, beside the labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_fit import run
from test_training import Humming

from emotalk_training.dataset import Examples, prepare
from emotalk_training.encoder import FEATURES
from emotalk_training.hints import HINTS, Axes, give_hints, load_hints
from emotalk_training.labels import LABELS
from emotalk_training.make import make

pytestmark = pytest.mark.torch


def hear(audio: np.ndarray) -> np.ndarray:
    """An encoder whose features say how loud each step is, in 512 ways."""
    steps = -(-len(audio) // 320)
    padded = np.zeros(steps * 320, np.float32)
    padded[: len(audio)] = audio
    loud = np.abs(padded.reshape(steps, 320)).mean(1)
    ways = np.random.default_rng(3).normal(size=(2, FEATURES))
    noise = np.random.default_rng(len(audio)).normal(size=(steps, FEATURES)) * 0.01
    return (np.outer(loud, ways[0]) + np.outer(loud**2, ways[1]) + noise).astype(np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "corpus", "hum", Humming(), 0.2, seed=1)
    prepared = prepare([tmp_path / "corpus"], tmp_path / "cache")
    give_hints(prepared, hear, seed=1)
    return prepared


def test_the_first_axis_is_what_differs_most() -> None:
    rng = np.random.default_rng(0)
    strong = np.sin(np.arange(900) / 7)
    features = rng.normal(size=(900, FEATURES)) * 0.05 + np.outer(strong, rng.normal(size=FEATURES))
    axes = Axes.of([features[:400].astype(np.float16), features[400:].astype(np.float16)])
    hints = axes.at_labels(features.astype(np.float16), 1080)
    assert hints.shape == (1080, HINTS)
    at_50_hz = np.interp(np.arange(900), np.arange(1080) / 1.2, hints[:, 0])
    assert abs(np.corrcoef(at_50_hz, strong)[0, 1]) > 0.95
    assert 0.8 < hints[::6].std() < 1.2  # where both rates meet


def test_each_label_has_its_hint_and_what_was_labelled_anew_has_none(folder: Path) -> None:
    examples = Examples(folder, seed=1, hints=True)
    assert len(load_hints(folder)) == len(examples.labels)
    batch = examples.batch(32, 0)
    assert batch.labels.shape == (32, examples.frames, LABELS + 1 + HINTS)
    weight, hints = batch.labels[..., LABELS], batch.labels[..., LABELS + 1 :]
    assert set(np.unique(weight)) == {0.0, 1.0}
    assert (hints[weight == 0] == 0).all()
    assert np.abs(hints[weight == 1]).max(1).min() > 0
    plain = Examples(folder, seed=1).batch(32, 0)
    np.testing.assert_array_equal(batch.audio, plain.audio)
    np.testing.assert_array_equal(batch.labels[..., :LABELS], plain.labels)


def test_hints_are_given_once(folder: Path) -> None:
    def deaf(audio: np.ndarray) -> np.ndarray:
        raise AssertionError("heard again")

    before = load_hints(folder).copy()
    give_hints(folder, deaf, seed=1)
    np.testing.assert_array_equal(load_hints(folder), before)


def test_a_run_with_hints_differs_and_keeps_nothing_of_them(folder: Path, tmp_path: Path) -> None:
    plain, hinted = run(folder, tmp_path / "plain"), run(folder, tmp_path / "hinted", hints=True)
    assert plain["state_dict"].keys() == hinted["state_dict"].keys()
    name = "audio_feature_map_cont.weight"
    assert not torch.equal(plain["state_dict"][name], hinted["state_dict"][name])
