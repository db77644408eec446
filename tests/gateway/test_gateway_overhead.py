"""`emotalk-perf gateway` as a person runs it: it compares the two faces before it compares their times."""

import re
import subprocess
import sys

import pytest
from asking import VOICE

from emotalk_perf.gateway import Overhead

pytestmark = pytest.mark.server


def test_the_figures_go_into_their_page(triton, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- gateway -->\n<!-- /gateway -->\nafter\n")
    command = [sys.executable, "-m", "emotalk_perf.cli", "gateway", str(VOICE), "--url", triton.grpc_url]
    options = ["--runs", "2", "--seconds", "2", "--page", str(page)]
    said = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    assert re.search(r"\| gateway \| \d+ ms \|.*A clip of 2 s, 2 alternating runs", page.read_text(), re.DOTALL)


def test_runs_are_compared_with_those_beside_them():
    measured = Overhead(thin=[1.0, 2.0, 3.0], gateway=[1.1, 2.1, 3.4], first=[], seconds=25.0)
    assert round(measured.added_s, 6) == 0.1
    assert round(measured.share, 6) == 0.05
