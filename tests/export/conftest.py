"""What the tests of the export share."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reference import CommandRun, Network

import seeded
from emotalk_contract.pipeline import pipeline
from emotalk_export.face import EmoTalkFace, open_face
from emotalk_export.validate import Trial, run_torch, trials


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def small_face(small_checkpoint: Path) -> EmoTalkFace:
    face = open_face(small_checkpoint, seeded.ATTENTION_HEADS["small"])
    assert isinstance(face, EmoTalkFace)
    return face


@pytest.fixture(scope="session")
def small_network(small_face: EmoTalkFace) -> Network:
    return Network(small_face)


@pytest.fixture
def small_state() -> dict[str, torch.Tensor]:
    """The small network's state_dict, to be changed."""
    return {key: torch.from_numpy(value) for key, value in seeded.state(seeded.shapes("small"), seeded.SEED).items()}


@pytest.fixture(scope="session")
def torch_trials(small_face: EmoTalkFace) -> list[Trial]:
    running = trials(small_face.widths, small_face.recipe)
    for model in pipeline(small_face.recipe).graphs:
        module = small_face.graph(model)
        for trial in running:
            run_torch(module, model, trial)
    return running


@pytest.fixture
def small_trials(torch_trials: list[Trial]) -> list[Trial]:
    """The export's own trials, with torch's numbers; to be changed."""
    return [replace(trial, expected=dict(trial.expected), actual=dict(trial.actual)) for trial in torch_trials]


@pytest.fixture(scope="session")
def half_run(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> CommandRun:
    """The small network in half precision, exported as a person would."""
    folder = tmp_path_factory.mktemp("half") / "repository"
    arguments = (
        "--checkpoint",
        small_checkpoint,
        "--repository",
        folder,
        "--attention-heads",
        4,
        "--precision",
        "fp16",
    )
    command = [sys.executable, "-m", "emotalk_export.cli", *map(str, arguments)]
    return CommandRun(folder, subprocess.run(command, capture_output=True, text=True, check=False))
