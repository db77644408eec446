"""Pipes in and out, names that are not text, folders: one error a file, and bytes where bytes are asked for."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from emotalk_cli import inputs, targets
from emotalk_cli.app import main
from emotalk_client.errors import UnreadableAudio
from emotalk_client.faces.animation import Animation

pytestmark = pytest.mark.unit


@pytest.fixture
def fifo(tmp_path):
    """``fifo(content)`` is a named pipe into which somebody writes ``content``, as ``<(…)`` is one."""
    threads = []

    def make(content):
        path = tmp_path / f"fifo{len(threads)}"
        os.mkfifo(path)
        threads.append(threading.Thread(target=lambda: path.write_bytes(content), daemon=True))
        threads[-1].start()
        return path

    yield make
    for thread in threads:
        thread.join(10)


# In --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_standard_input_is_a_file_like_any(served, speech, tmp_path, run, name):
    result = run("animate", name, "-o", tmp_path / "out", stdin=speech.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert np.load(tmp_path / "out" / "stdin.npy").shape == (30, 52)


def test_a_named_pipe_is_read_once_and_gives_what_the_file_gives(served, speech, tmp_path, run, fifo):
    assert run("animate", speech, "-o", tmp_path / "a.npy").exit_code == 0
    result = run("animate", fifo(speech.read_bytes()), "-o", tmp_path / "b.npy")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    np.testing.assert_array_equal(served.sent[0][0]["AUDIO"], served.sent[1][0]["AUDIO"])


def test_a_pipe_is_read_where_no_event_loop_waits(served, speech, tmp_path, run, fifo, monkeypatch):
    readers = set()
    copy = inputs._copy

    def noted(*arguments):
        readers.add(threading.current_thread().name)
        copy(*arguments)

    monkeypatch.setattr(inputs, "_copy", noted)
    assert run("animate", fifo(speech.read_bytes()), "-o", tmp_path / "b.npy").exit_code == 0
    assert readers == {"MainThread"}


def test_the_emotion_may_come_from_a_pipe_for_several_files(served, speech, tmp_path, run, fifo):
    other = speech.with_name("other.wav")
    other.write_bytes(speech.read_bytes())
    result = run("animate", speech, other, "--emotion-audio", fifo(speech.read_bytes()), "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert [sent["EMOTION_AUDIO"].shape for sent, _ in served.sent] == [(1, 16_000)] * 2


@pytest.mark.parametrize("more", [["-"], ["x.wav", "--emotion-audio", "/dev/stdin"]])
def test_standard_input_is_not_read_twice(served, tmp_path, run, more):
    result = run("animate", "-", *more, "-o", tmp_path / "out", stdin=b"")
    assert result.exit_code == 2
    assert "given twice" in result.stderr
    assert served.sent == []


def test_what_cannot_be_read_says_what_it_is_and_the_rest_is_done(served, speech, tmp_path, run, fifo):
    (tmp_path / "folder").mkdir()
    result = run("animate", tmp_path / "folder", fifo(b"no audio"), speech, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{tmp_path / 'folder'} is a directory; accepted: an audio file" in result.stderr
    assert f"{tmp_path / 'fifo0'}: UnreadableAudio: {tmp_path / 'fifo0'} cannot be read as audio" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speech.npy"]


def test_a_pipe_without_end_ends(monkeypatch):
    monkeypatch.setattr(inputs, "MAX_BYTES", 3 * inputs.BLOCK)
    with pytest.raises(UnreadableAudio, match="goes on and on"), Path("/dev/zero").open("rb") as endless:
        inputs._copy(endless, io.BytesIO(), "a pipe")


# Out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [None, "csv", "json", "jsonl", "glb"])
def test_standard_output_gets_the_bytes_of_the_format_that_was_asked_for(served, speech, tmp_path, run, suffix):
    asked = [] if suffix is None else ["--format", suffix]
    path = tmp_path / f"face.{suffix or 'npy'}"
    assert run("animate", speech, "-o", path).exit_code == 0
    result = run("animate", speech, "-o", "-", *asked)
    assert result.exit_code == 0, result.stderr
    if suffix == "json":  # which says when it was made, or by whom: compared as what it means
        assert json.loads(result.stdout_bytes).keys() == json.loads(path.read_bytes()).keys()
    else:
        assert result.stdout_bytes == path.read_bytes()
    assert "real-time factor" in result.stderr
    assert not (tmp_path / "-").exists()


def test_a_named_pipe_takes_bytes_as_well(served, speech, tmp_path, run):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    thread.start()
    assert run("animate", speech, "-o", pipe, "--format", "jsonl").exit_code == 0
    thread.join(10)
    assert len(got[0].splitlines()) == 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "-", "--format", "npy,csv"], "takes one format"),
        (["other.wav", "-o", "-"], "takes one face"),
        (["-o", "face.csv", "--format", "npy"], "its suffix is its format"),
        (["-o", "out", "--format", "npy,.npy"], "names a format twice"),
    ],
)
def test_what_an_output_cannot_take_is_refused(served, speech, run, monkeypatch, arguments, words):
    monkeypatch.chdir(speech.parent)
    result = run("animate", speech, *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert served.sent == []


def test_a_terminal_is_not_sent_bytes(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(targets.typer.BadParameter, match="terminal"):
        targets.plan_jobs([tmp_path / "x.wav"], targets.Path("-"), "npy")
    assert targets.plan_jobs([tmp_path / "x.wav"], targets.Path("-"), "csv")[0].pipe.suffix == ".csv"


# Names -----------------------------------------------------------------------------------------


def test_a_name_that_is_not_text_is_a_file_like_any(served, speech, tmp_path, monkeypatch, capfdbinary):
    name = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.wav")
    bad = os.fsdecode(bytes(tmp_path) + b"/bad\xe9.wav")
    shutil.copy(speech, name)
    Path(bad).write_bytes(b"no audio")
    monkeypatch.setattr(sys, "argv", ["emotalk", "animate", bad, name, str(speech), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capfdbinary.readouterr()
    assert caught.value.code == 1
    assert b"Traceback" not in said.err
    assert b"bad\\udce9.wav: UnreadableAudio" in said.err
    assert sorted(os.fsencode(path.name) for path in (tmp_path / "out").iterdir()) == [b"caf\xe9.npy", b"speech.npy"]


def test_an_error_that_nobody_foresaw_is_one_files_own(served, speech, tmp_path, run, monkeypatch):
    other = speech.with_name("other.wav")
    other.write_bytes(speech.read_bytes())
    save = Animation.save

    def broken(self, path, **how):
        if path.name.startswith("speech"):
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "not text")
        save(self, path, **how)

    monkeypatch.setattr(Animation, "save", broken)
    result = run("animate", speech, other, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "speech.wav: UnicodeEncodeError" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other.npy"]


def test_of_a_real_process_standard_output_is_the_face_alone(speech):
    """A mistake in ours would print on standard output, which carries bytes."""
    said = subprocess.run(
        [sys.executable, "-m", "emotalk_cli", "animate", "-", "-o", "-", "--url", "127.0.0.1:99999"],
        input=speech.read_bytes(),
        capture_output=True,
        timeout=120,
    )
    assert (said.returncode, said.stdout) == (1, b"")
    assert said.stderr.startswith(b"emotalk: InvalidAddress: the URL is '127.0.0.1:99999'")
