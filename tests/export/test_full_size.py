"""The real size: 24 layers, 640 million weights. `make parity` runs this; it takes minutes and some 6 GB of memory.

EMOTALK_FULL_CHECKPOINT may name the seeded checkpoint (`python tests/seeded.py full 7 FILE`); otherwise it is made.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from reference import authors_positions, goldens, largest, normalised

import seeded
from emotalk_contract import tensors
from emotalk_contract.recipe import Manifest
from emotalk_export.validate import open_session

pytestmark = pytest.mark.full

TOLERANCE = 1e-5
MAX_PEAK_BYTES = 10e9

EXPORT = """
import resource, sys
from pathlib import Path
from emotalk_export.exporter import export
export(Path(sys.argv[1]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.fixture(scope="module")
def full_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("EMOTALK_FULL_CHECKPOINT")
    if given:
        return Path(given)
    return seeded.checkpoint("full", seeded.SEED, tmp_path_factory.mktemp("full") / "EmoTalk.pth")


@pytest.fixture(scope="module")
def full_export(full_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The repository, and the largest number of bytes that the export held."""
    folder = tmp_path_factory.mktemp("full_repository") / "repository"
    command = [sys.executable, "-c", EXPORT, str(full_checkpoint), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return folder, int(done.stdout)


def test_memory(full_export: tuple[Path, int]) -> None:
    assert full_export[1] < MAX_PEAK_BYTES


def test_manifest(full_export: tuple[Path, int]) -> None:
    manifest = Manifest.load(full_export[0])
    assert manifest.provenance["dimensions"]["content"]["layers"] == 24
    assert manifest.provenance["largest_difference_from_torch"]["chain"] < TOLERANCE
    for files in manifest.provenance["graphs"].values():
        assert files["model.onnx"]["bytes"] < 2**31


@pytest.fixture(scope="module")
def sessions(full_export: tuple[Path, int]) -> list[onnxruntime.InferenceSession]:
    return [open_session(full_export[0] / model.name / "1" / "model.onnx") for model in tensors.GRAPHS]


def test_goldens(sessions: list[onnxruntime.InferenceSession], reference: Path | None) -> None:
    recorded = goldens(reference / "goldens_full") if reference else []
    found = {}
    for golden in (*goldens(seeded.DATA / "goldens_full"), *recorded):
        audio, expected = golden.audio(), golden.weights()
        at = authors_positions(len(audio), len(expected))
        code = np.zeros((1, 24), np.float32)
        code[0, golden.person] = 1
        arrays = {
            "NETWORK_AUDIO": normalised(audio)[None],
            "CONTENT_POSITIONS": at.content[None],
            "EMOTION_POSITIONS": at.emotion[None],
            "EMOTION_FRAME_POSITIONS": at.emotion_frame[None],
            "LEVEL_CODE": np.array([[1 - golden.level, golden.level]], np.float32),
            "STYLE_CODE": code,
        }
        for model, session in zip(tensors.GRAPHS, sessions, strict=True):
            names = [tensor.name for tensor in model.outputs]
            outputs = session.run(names, {tensor.name: arrays[tensor.name] for tensor in model.inputs})
            arrays.update(zip(names, outputs, strict=True))
        found[golden.path.stem] = largest(arrays["RAW_BLENDSHAPES"][0], expected)
    assert max(found.values()) <= TOLERANCE, found
