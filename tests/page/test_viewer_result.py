"""``emotalk view``: the command as people run it, and its page in a real Chromium."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from browsing import agrees

from emotalk_cli import main

pytestmark = pytest.mark.browser

EMOTALK = (sys.executable, "-m", "emotalk_cli")


@pytest.fixture(scope="session")
def files(face, tmp_path_factory):
    """The sample voice's face in files."""
    folder = tmp_path_factory.mktemp("faces")
    for suffix in ("npy", "csv", "json", "jsonl"):
        face.save(folder / f"voice.{suffix}")
    return folder


@pytest.fixture
def view():
    """``view(result, audio)``: the address that the running command says; it must end well on Ctrl-C."""
    running = []

    def started(*arguments):
        command = [*EMOTALK, "view", *map(str, arguments), "--no-browser"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said + process.stderr.read()
        return found[0]

    yield started
    for process in running:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (0, "", "")


@pytest.fixture
def refused(monkeypatch, capsys):
    """``refused(*arguments)``: what the command says against them."""

    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["emotalk", "view", *map(str, arguments), "--no-browser"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 1
        return capsys.readouterr().err

    return said


def test_a_result_is_shown_with_its_sound(page, view, files, voice, face):
    page.open(view(files / "voice.csv", voice))
    page.settled()
    assert page.find("#title").text == "voice.csv, voice.flac"
    assert not page.find("#file").is_displayed(), "there is nobody to ask for faces"
    page.press("#play")
    page.until("emotalk.shown().time > 0.5")
    agrees(page.shown(), face)
    page.press("#play")
    page.set({"#time": 6.0})  # the sound is sent in ranges
    page.until("Math.abs(emotalk.shown().soundTime - 6) < 0.01 && emotalk.shown().time > 5.9")
    shown = page.shown()
    agrees(shown, face)
    assert shown["jawOpen"] != pytest.approx(face.channel("jawOpen")[0], abs=1e-3)


@pytest.mark.parametrize("suffix", ["npy", "json", "jsonl"])
def test_other_files_are_shown_too(page, view, files, voice, face, suffix):
    page.open(view(files / f"voice.{suffix}", voice))
    page.settled()
    page.set({"#time": 3.0})
    page.until("emotalk.shown().time > 2.9")
    agrees(page.shown(), face)


def test_a_file_that_does_not_say_its_rate_is_told_it(page, view, voice, face, tmp_path):
    face.save(tmp_path / "fast.npy", fps=60)
    page.open(view(tmp_path / "fast.npy", voice, "--fps", "60"))
    page.settled()
    page.set({"#time": 5.0})
    page.until("emotalk.shown().time > 4.9")
    agrees(page.shown(), face.resampled(60))


def test_sound_that_the_browser_cannot_play_is_said_and_the_face_moves(page, view, files, voice, tmp_path):
    import soundfile

    samples, rate = soundfile.read(voice)
    soundfile.write(tmp_path / "voice.au", samples, rate)
    page.open(view(files / "voice.npy", tmp_path / "voice.au"))
    page.settled()
    page.until("document.querySelector('#status').textContent.includes('cannot play the sound')")
    page.press("#play")
    page.until("emotalk.shown().time > 0.5")
    assert page.shown()["frame"] >= 15


def test_files_that_cannot_be_shown_are_refused_in_words(refused, files, voice, tmp_path):
    assert "UnreadableAnimation: " in refused(tmp_path / "none.npy", voice)
    assert "UnknownFormat: voice.flac has the suffix '.flac'; accepted: .npy, .csv" in refused(voice, voice)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    assert "is not a NumPy file that can be read: its header" in refused(tmp_path / "bad.npy", voice)
    np.save(tmp_path / "empty.npy", np.zeros((0, 52), np.float32))
    assert "has no frames; accepted: at least one" in refused(tmp_path / "empty.npy", voice)
    assert "none.wav is not a file" in refused(files / "voice.npy", tmp_path / "none.wav")
    assert "cannot be read as audio" in refused(files / "voice.npy", files / "voice.csv")
    assert "InvalidRate: fps is 0.0" in refused(files / "voice.npy", voice, "--fps", "0")


def test_without_the_extra_it_is_named(files, voice):
    code = "import sys; sys.modules['fastapi'] = None; from emotalk_cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "view", files / "voice.npy", voice], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "emotalk: MissingExtra: the page needs fastapi; install `emotalk-triton[gateway]`\n"
