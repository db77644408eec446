"""`emotalk-export` as a person would run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reference import CommandRun
from typer.testing import CliRunner

from emotalk_export import cli

pytestmark = pytest.mark.torch

RUNNER = CliRunner()


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "emotalk_export.cli", *map(str, arguments)]


def test_help_loads_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from emotalk_export import cli;"
        "r = CliRunner().invoke(cli.application, ['--help']); print(r.output);"
        "sys.exit(r.exit_code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in ("--checkpoint", "--repository", "--attention-heads", "--precision", "--tensorrt"):
        assert option in done.stdout


def test_an_export(half_run: CommandRun) -> None:
    said = half_run.done.stderr
    assert half_run.done.returncode == 0, said
    for part in ("wav2vec_frontend", "emotalk_decoder", "whole chain", "EmoTalk (user's checkpoint", "fp16"):
        assert part in said
    assert "Warning" not in said
    assert (half_run.repository / "MANIFEST.json").is_file()


def test_sigterm_leaves_nothing_behind(small_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ("--checkpoint", small_checkpoint, "--repository", tmp_path / "repository", "--attention-heads", 4)
    process = subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.iterdir()):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) == cli.TERMINATED
    finally:
        process.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "CheckpointNotFound"),
        (b"no checkpoint", "CheckpointUnreadable"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    checkpoint = tmp_path / "EmoTalk.pth"
    if content is not None:
        checkpoint.write_bytes(content)
    result = RUNNER.invoke(
        cli.application, ["--checkpoint", str(checkpoint), "--repository", str(tmp_path / "repository")]
    )
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)  # and no traceback
    lines = [line for line in result.stderr.splitlines() if line.startswith("emotalk-export: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert str(checkpoint) in lines[0]


def test_missing_tensorrt_is_an_error(small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = RUNNER.invoke(
        cli.application,
        ["--checkpoint", str(small_checkpoint), "--repository", str(tmp_path / "repository"), "--tensorrt"],
    )
    assert result.exit_code == 1
    assert "TensorRTMissing" in result.stderr


@pytest.mark.parametrize(
    "wrong", [["--precision", "int4"], ["--attention-heads", "many"], ["--colour", "red"]], ids=lambda wrong: wrong[0]
)
def test_wrong_options(tmp_path: Path, wrong: list[str]) -> None:
    result = RUNNER.invoke(cli.application, ["--checkpoint", "x", "--repository", str(tmp_path), *wrong])
    assert result.exit_code == 2
    assert wrong[0].removeprefix("--") in result.stderr
