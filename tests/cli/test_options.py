"""Options are obeyed or refused."""

import json
import sys

import numpy as np
import pytest
from fakesound import fake_sounddevice

from emotalk_client.errors import InvalidAudio, InvalidRate, UnknownFormat, UnwritableFile
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.outputs import Paced, Together

pytestmark = pytest.mark.unit


@pytest.fixture
def face(tmp_path):
    path = tmp_path / "face.csv"
    Animation(np.zeros((60, 52), np.float32), np.arange(60) / 30).save(path)
    return path


REFUSED = [
    (["animate", "IN", "-o", "OUT.npy", "--raw", "--smooth"], "--raw applies nothing"),
    (["animate", "IN", "-o", "OUT.npy", "--raw", "--no-clamp"], "--raw applies nothing"),
    (["animate", "IN", "-o", "OUT.npy", "--raw", "--gain", "jawOpen=2"], "--raw applies nothing"),
    (["animate", "IN", "-o", "OUT.npy", "--raw", "--emotion", "joy=1"], "--raw applies nothing"),
    (["animate", "IN", "-o", "OUT.npy", "--raw", "--region", "skinStrength=1"], "--raw applies nothing"),
    (["animate", "IN", "-o", "OUT.npy", "--raw", "--emotion-transition", "1"], "--raw applies nothing"),
    (["animate", "IN", "-o", "OUT.npy", "--raw", "--emotion-keys", "OUT.json"], "--raw applies nothing"),
    (["live", "IN", "--region", "skinStrength"], "NAME=NUMBER"),
    (["animate", "IN", "-o", "OUT.npy", "--gain", "jawOpen=2", "--gain", "jawOpen=1"], "given twice"),
    (["live", "IN", "--rate", "16000"], "for raw PCM"),
    (["live", "IN", "--channels", "1"], "for raw PCM"),
    (["live", "IN", "--format", "s16le"], "for raw PCM"),
    (["live", "IN", "--device", "0"], "for --microphone"),
    (["live", "-", "--device", "0"], "for --microphone"),
    (["live", "--microphone", "--format", "s16le"], "for raw PCM"),
    (["live", "--microphone", "--channels", "2"], "for raw PCM"),
    (["live", "--microphone", "--pace"], "its own pace"),
    (["live", "IN", "-o", "OUT.csv", "--min-fps", "15"], "may leave frames out"),
    (["live", "IN", "--emotion", "joy"], "NAME=NUMBER"),
    (["plot", "IN", "-o", "OUT.png", "--audio", "IN"], "IN is audio itself"),
    (["plot", "FACE", "-o", "OUT.png", "--url", "localhost:8001"], "needs no server"),
    (["gateway", "--port", "99999"], "65535"),
    (["health", "--timeout", "0"], "0.001"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_an_option_that_would_be_ignored_is_refused(served, speech, face, tmp_path, run, arguments, words):
    places = {"IN": str(speech), "FACE": str(face)}
    given = [places.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in arguments]
    result = run(*given, stdin=b"")
    assert result.exit_code == 2, result.stderr
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert served.sent == []


def test_a_rate_that_a_face_does_not_have_is_refused(face, speech, run, monkeypatch):
    monkeypatch.setattr("emotalk_gateway.page.result.serve", lambda *_: pytest.fail("it was shown"))
    lines = face.with_suffix(".jsonl")
    Animation.load(face).save(lines)
    result = run("view", lines, speech, "--fps", "60", "--no-browser")
    assert isinstance(result.exception, InvalidRate)


# emotalk live ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "npy", "json", "glb"])
def test_live_writes_the_format_that_the_suffix_says(served, speech, tmp_path, run, suffix):
    result = run("live", speech, "-o", tmp_path / "deep" / f"face.{suffix}")
    assert result.exit_code == 0, result.stderr
    assert (result.stdout, result.exception) == ("", None)
    written = Animation.load(tmp_path / "deep" / f"face.{suffix}")
    np.testing.assert_allclose(written.weights[:, 0], np.arange(30), atol=1e-3)


@pytest.mark.parametrize("arguments", [[], ["-o", "-"]])
def test_live_writes_lines_to_standard_output(served, speech, run, arguments):
    result = run("live", speech, *arguments)
    assert [json.loads(line)["timecode"] for line in result.stdout.splitlines()] == [n / 30 for n in range(30)]


@pytest.mark.parametrize(("output", "kind"), [("x.xyz", UnknownFormat), ("x", UnknownFormat), (".", UnwritableFile)])
def test_live_refuses_what_it_cannot_write_before_it_starts(served, speech, run, monkeypatch, output, kind):
    monkeypatch.chdir(speech.parent)
    assert isinstance(run("live", speech, "-o", output).exception, kind)
    assert served.sent == []


@pytest.mark.parametrize("extra", [b"", b"\0" * 100])
def test_live_refuses_a_file_where_raw_samples_are_read(served, speech, run, extra):
    result = run("live", "-", stdin=speech.read_bytes() + extra)
    assert isinstance(result.exception, InvalidAudio)
    assert "a file of kind wav; accepted: raw samples" in str(result.exception)
    assert result.stdout == ""


def test_live_listens_to_a_microphone(served, run, monkeypatch, tmp_path):
    fake = fake_sounddevice([100, "stop"], rates=(48_000,), own_rate=48_000)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr("emotalk_client.live.microphone.LOOK_S", 0.01)
    result = run("live", "--microphone", "-o", tmp_path / "face.jsonl")
    assert str(result.exception) == "the default sound device stopped: it was unplugged, or something else took it"
    heard = fake.opened[-1]
    assert (heard.samplerate, heard.closed) == (48_000, True)
    assert (tmp_path / "face.jsonl").is_file()


def test_live_sends_to_all_programs_on_one_clock(served, speech, run, monkeypatch):
    sent = []

    class Recorder:
        def __init__(self, name, *_):
            self.name = name

        def send(self, frame):
            sent.append((self.name, frame.index))

        def close(self):
            pass

    monkeypatch.setattr("emotalk_cli.live.LiveLinkOutput", lambda *_: Recorder("livelink"))
    monkeypatch.setattr("emotalk_cli.live.VmcOutput", lambda *_: Recorder("vmc"))
    monkeypatch.setattr("emotalk_cli.live.Paced", lambda output: Paced(output, sleep=lambda _: None))
    assert run("live", speech, "--livelink", "localhost", "--vmc", "localhost").exit_code == 0
    assert sent == [(name, index) for index in range(30) for name in ("livelink", "vmc")]


def test_outputs_together_all_get_a_frame_though_one_fails():
    got = []

    class Output:
        def __init__(self, fails):
            self.fails = fails

        def send(self, frame):
            got.append(frame)
            if self.fails:
                raise OSError("gone")

        def close(self):
            got.append("closed")
            if self.fails:
                raise OSError("gone")

    together = Together([Output(True), Output(False)])
    with pytest.raises(OSError, match="gone"):
        together.send(1)
    with pytest.raises(OSError, match="gone"):
        together.close()
    assert got == [1, 1, "closed", "closed"]
