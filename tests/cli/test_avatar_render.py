"""``emotalk avatar render``: plans, mistakes and files; with a fake server in place of a real one."""

from contextlib import contextmanager

import numpy as np
import pytest
from drawn import drawing, pictures, sound
from fake import FakeTransport
from typer.testing import CliRunner

from emotalk_cli.app import app
from emotalk_client import EmoTalkClient
from emotalk_client.faces.animation import Animation

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def served(monkeypatch):
    transport = FakeTransport()

    @contextmanager
    def connect(url, speech=False):
        with EmoTalkClient(url or "fake:1", transport=transport) as client:
            yield client

    monkeypatch.setattr("emotalk_cli.avatar_render.connect", connect)
    with drawing(size=(64, 64)):  # skipped where nothing can be drawn
        return transport


def run(*arguments):
    return CliRunner().invoke(app, ["avatar", "render", *map(str, arguments)])


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_speech_becomes_a_video(speech, tmp_path, suffix):
    out = tmp_path / "new" / f"a{suffix}"
    result = run(speech, "-o", out, "--size", "128x96", "--background", "#00ff00")
    assert result.exit_code == 0, result.output
    found = pictures(out)
    assert len(found) == 30
    assert found[0][1].shape == (96, 128, 3)
    corner = found[0][1][2, 2].astype(int)
    assert corner[1] > 200 > 100 > corner[0]
    start, rate, samples = sound(out)
    assert len(samples) / rate + start == pytest.approx(1, abs=0.03)


def test_an_animation_needs_no_server(served, speech, tmp_path):
    Animation(np.zeros((30, 52), np.float32), np.arange(30) / 30).save(tmp_path / "face.npy")
    result = run(tmp_path / "face.npy", "--audio", speech, "-o", tmp_path / "a.mp4", "--size", "64x64", "--fps", 25)
    assert result.exit_code == 0, result.output
    assert len(pictures(tmp_path / "a.mp4")) == 25
    assert served.sent == []
    assert len(sound(tmp_path / "a.mp4")[2]) > 40_000


def test_options_reach_the_server(served, speech, tmp_path):
    options = ["--level", 0.5, "--emotion", "joy=0.8", "--seed", 3, "--size", "64x64"]
    assert run(speech, "-o", tmp_path / "a.webm", *options).exit_code == 0
    assert served.sent[0][1]["emotions"] == '{"joy": 0.8}'
    assert served.sent[0][1]["seed"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["IN", "-o", "a.avi"], "UnknownFormat: the video ends in '.avi'; accepted: .mp4, .webm"),
        (["IN", "-o", "a.mp4", "--fps", "90"], "InvalidVideo: fps is 90.0; accepted: 1..60"),
        (["IN", "-o", "a.mp4", "--size", "1x1"], "InvalidVideo: the size is 1x1"),
        (["IN", "-o", "a.mp4", "--background", "red"], "InvalidVideo: the background red cannot be read"),
        (["IN", "-o", "a.mp4", "--life", "idle=2"], "InvalidOption: idle is 2.0; accepted: 0..1"),
        (["/nowhere.wav", "-o", "a.mp4"], "UnreadableAudio: /nowhere.wav"),
    ],
)
def test_mistakes_are_one_line(served, speech, tmp_path, arguments, message, monkeypatch, capsys):
    from emotalk_cli.app import main

    given = [{"IN": str(speech)}.get(one, one) for one in arguments]
    monkeypatch.setattr("sys.argv", ["emotalk", "avatar", "render", *given])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert f"emotalk: {message}" in capsys.readouterr().err
    assert not (tmp_path / "a.mp4").exists()
    assert served.sent == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.mp4"], "either IN or --text"),
        (["IN", "--text", "hello", "-o", "a.mp4"], "either IN or --text"),
        (["IN", "--voice", "hibari", "-o", "a.mp4"], "spoken already"),
        (["IN", "--audio", "IN", "-o", "a.mp4"], "its own sound"),
        (["face.npy", "--emotion", "joy=1", "-o", "a.mp4"], "an animation is as it is"),
    ],
)
def test_options_are_obeyed_or_refused(served, speech, tmp_path, arguments, message):
    result = run(*[{"IN": str(speech)}.get(one, one) for one in arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert served.sent == []
