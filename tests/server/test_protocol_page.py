"""The commands of docs/protocol.md, run as they stand, and with 25 s of sound: their content type is what matters."""

import json
import shutil
import subprocess

import pytest

from emotalk_contract.reference import EXAMPLE, protocol

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


def run(server, command):
    assert "localhost:8000" in command
    command = command.replace("localhost:8000", server.http_url)
    return subprocess.run(["/bin/bash", "-c", command], check=True, capture_output=True, timeout=120).stdout


def test_the_example_is_on_the_page_and_answers(server):
    assert EXAMPLE in protocol()
    assert run(server, EXAMPLE).startswith(b'{"BLENDSHAPES":[')


def test_it_bears_25_seconds(server):
    command = EXAMPLE.replace("range(16000)", "range(25 * 16000)").removesuffix(" | head -c 300")
    answer = json.loads(run(server, command))
    assert len(answer["TIMECODES"]) == 750
    assert len(answer["BLENDSHAPES"]) == 750 * 52
