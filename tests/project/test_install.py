"""What a user installs: a complete wheel, and a thin client."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

PROJECT = Path(__file__).parents[2]
SAMPLE = PROJECT / "docs" / "demo" / "voice.flac"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(PROJECT)], check=True)
    return next(folder.glob("*.whl"))


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
    assert "emotalk_client/head/head.glb" in names


def test_without_extras_the_client_is_thin(wheel, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel)], check=True)
    code = (
        "import json, sys, emotalk_client;"
        "emotalk_client.EmoTalkClient, emotalk_client.AsyncEmoTalkClient;"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    loaded = json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    heavy = {"torch", "onnx", "onnxruntime", "transformers", "librosa", "scipy", "matplotlib", "pytriton"}
    assert not heavy & set(loaded)
    site = next((venv / "lib").glob("python*/site-packages"))
    installed = {path.name.lower() for path in site.iterdir()}
    assert not heavy & installed
    skip = ("pip", "setuptools")  # what every virtual environment has
    size = sum(
        f.stat().st_size for f in site.rglob("*") if f.is_file() and not f.parts[len(site.parts)].startswith(skip)
    )
    assert size < 200e6
