"""The client by itself, installed as a user installs it: thin."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.network

MOST_BYTES = 200e6
HEAVY = {"torch", "onnx", "onnxruntime", "transformers", "librosa", "scipy", "matplotlib", "pytriton"}
UNREACHABLE = ("NewConnectionError", "Connection refused", "Temporary failure in name resolution", "timed out")
"""In what pip says where there is no network."""


def test_without_extras_the_client_is_thin(wheel, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1", str(wheel)]
    installed = subprocess.run(command, capture_output=True, text=True)
    if installed.returncode and any(words in installed.stderr for words in UNREACHABLE):
        pytest.skip(f"the package registry cannot be reached: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    code = (
        "import json, sys, emotalk_client;"
        "emotalk_client.EmoTalkClient, emotalk_client.AsyncEmoTalkClient;"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    loaded = json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert not HEAVY & set(loaded)
    site = next((venv / "lib").glob("python*/site-packages"))
    there = {path.name.lower() for path in site.iterdir()}
    assert not HEAVY & there
    skip = ("pip", "setuptools")  # what every virtual environment has
    size = sum(
        f.stat().st_size for f in site.rglob("*") if f.is_file() and not f.parts[len(site.parts)].startswith(skip)
    )
    assert size < MOST_BYTES
