"""What a user installs is complete."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.server

PROJECT = Path(__file__).parents[2]
SAMPLE = PROJECT / "docs" / "demo" / "voice.flac"


def test_the_wheel_serves_and_animates_without_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}  # comes before the checkout's editable install
    environment.pop("EMOTALK_URL", None)
    code = "import emotalk_contract.repository as r; print(r.__file__); print(r.bundled())"
    run = {"cwd": tmp_path, "env": environment, "check": True, "capture_output": True, "text": True}
    for line in subprocess.run([sys.executable, "-c", code], **run).stdout.splitlines():
        assert line.startswith(str(site))
    command = [sys.executable, "-m", "emotalk_cli", "animate", str(SAMPLE), "-o", "voice.npy"]
    said = subprocess.run(command, **run)
    assert "embedded" in said.stderr
    weights = np.load(tmp_path / "voice.npy")
    assert weights.shape == (322, 52)
    assert weights.std(axis=0).max() > 0.01


def test_the_wheel_holds_the_repository_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    repository = PROJECT / "model_repository"
    for path in repository.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"emotalk_contract/model_repository/{path.relative_to(repository)}" in names
    assert not [n for n in names if n.startswith(("tests/", "docs/")) or n.endswith((".pth", ".pyc"))]
    assert "emotalk_client/py.typed" in names
    assert "emotalk_client/faces/head/head.glb" in names
