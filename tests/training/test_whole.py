"""Everything in one command, from speech to a card; what is there is kept."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_training import Humming

from emotalk_training import cli
from emotalk_training.make import make
from emotalk_training.sources import MissingSourceError, Spoken

pytestmark = pytest.mark.torch


class Named(Humming):
    """Humming under the names of voices that have their parts in training, choices and tests."""

    def __init__(self, voice: str) -> None:
        super().__init__()
        self.voice = voice

    def speak(self, rng: random.Random, test: bool) -> Spoken:
        return replace(super().speak(rng, test), engine="kokoro", voice=self.voice)


def test_one_command_from_speech_to_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, voice in (("speech", "am_adam"), ("speech", "af_sky"), ("heard", "bf_emma")):
        make(tmp_path / folder, voice, Named(voice), 0.15, seed=1)

    def missing(_: Path) -> None:
        raise MissingSourceError("nothing recorded here")

    monkeypatch.setattr(cli, "real", missing)
    threads = torch.get_num_threads()
    try:
        cli.whole(tmp_path, share=0, steps=2, cache=tmp_path / "cache")
    finally:
        torch.set_num_threads(threads)
    assert "held-out Kokoro voices" in (tmp_path / "run" / "figures.md").read_text("utf-8")
    assert "| kokoro |" in (tmp_path / "run" / "MODEL_CARD.md").read_text("utf-8")
    made = torch.load(tmp_path / "run" / "face.pt", weights_only=True)
    assert made["provenance"]["steps"] == 2
    assert made["provenance"]["calibration"]["gain"] >= 1
