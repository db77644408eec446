"""The README's examples, run as they are written, but for the ports and the files' names."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

pytestmark = pytest.mark.server

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def example(language, word):
    """The one code block of ``language`` with ``word`` in it."""
    (found,) = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if word in b]
    return found


def test_the_python_example(server, speech, tmp_path):
    soundfile.write(tmp_path / "speech.wav", speech[:48_000], 16_000)
    soundfile.write(tmp_path / "an_hour.mp3", speech[:80_000], 16_000)
    code = example("python", "EmoTalkClient").replace("localhost:8001", server.grpc_url)
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0].startswith("(90, 52)")
    assert lines[0].endswith("jawOpen")
    assert len(lines) > 140
    assert (tmp_path / "face.csv").is_file()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_example(server):
    code = example("bash", "localhost:8000").replace("localhost:8000", server.http_url).replace("| head -c 300", "")
    said = subprocess.run(["/bin/bash", "-c", code], capture_output=True, text=True, check=True)
    answer = json.loads(said.stdout)
    assert len(answer["BLENDSHAPES"]) == 30 * 52
    assert len(answer["TIMECODES"]) == 30


def test_links_lead_somewhere():
    for page in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
