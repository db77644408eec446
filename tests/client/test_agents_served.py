"""Agents' bridges against a real Triton, as docs/pipecat.md has it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotalk_client import EmoTalkClient
from emotalk_client.audio.loading import load

pytestmark = pytest.mark.server

PROJECT = Path(__file__).parents[2]
AGENTS = PROJECT / "tests" / "clients" / "agents"


@pytest.mark.skipif(not (AGENTS / "pipecat").is_dir(), reason="tests/clients/agents lacks Pipecat")
def test_the_example_for_pipecat_gives_the_whole_clips_face(bundled_server, tmp_path):
    import soundfile

    voice = (load(PROJECT / "docs" / "demo" / "voice.flac")[8_000:40_000] * 32_767).astype(np.int16)
    soundfile.write(tmp_path / "speech.wav", voice, 16_000)
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "pipecat.md").read_text("utf-8"), re.DOTALL)
    (script,) = [block for block in blocks if "asyncio.run" in block]
    script = script.replace("localhost:8001", bundled_server.grpc_url)
    path = os.pathsep.join([*sys.path[1:], str(AGENTS)])
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    rows = np.array([[float(value) for value in line.split()] for line in said.stdout.splitlines()])
    with EmoTalkClient(bundled_server.grpc_url) as client:
        whole = client.animate(tmp_path / "speech.wav").weights
    assert rows[:, 1].tolist() == list(range(60 + 9))
    assert np.abs(rows[:60, 3] - whole.max(axis=1)).max() <= 0.02
    assert rows[-1, 3] == 0
