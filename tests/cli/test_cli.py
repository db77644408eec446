"""The command line: planning, mistakes, summaries; with a fake server in place of a real one."""

import subprocess
import sys

import numpy as np
import pytest
from fake import FakeTransport
from typer.testing import CliRunner

import emotalk_server
from emotalk_cli import connection
from emotalk_cli.app import app, main
from emotalk_client import EmoTalkClient
from emotalk_client.errors import DeadlineExceeded, MissingExtra, ServerError, ServerNotStarted, ServerUnavailable
from emotalk_server import errors as server_errors

pytestmark = pytest.mark.unit


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_one_file(served, speech, tmp_path):
    result = run("animate", speech, "-o", tmp_path / "face.npy")
    assert result.exit_code == 0
    assert np.load(tmp_path / "face.npy").shape == (30, 52)
    assert all(word in result.stdout for word in ("speech.wav", "30", "1.00", "real-time factor"))


def test_several_formats_into_a_folder(served, speech, tmp_path):
    assert run("animate", speech, "-o", tmp_path / "out", "--format", "npy,csv,json,jsonl").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("speech.csv", "speech.json", "speech.jsonl", "speech.npy")
    ]


def test_options_reach_the_server(served, speech, tmp_path):
    arguments = ["--level", "0.5", "--person", "4", "--seed", "3", "--no-smooth", "--no-blink", "--no-clamp"]
    arguments += ["--emotion", "joy=0.8", "--emotion", "fear=0.1"]
    arguments += ["--gain", "jawOpen=1.5", "--offset", "mouthSmileLeft=-0.1", "--window", "0.5", "--overlap", "0.2"]
    assert run("animate", speech, "-o", tmp_path / "face.npy", *arguments).exit_code == 0
    inputs, parameters = served.sent[0]
    assert (inputs["LEVEL"], inputs["PERSON"]) == (0.5, 4)
    assert parameters == {
        "seed": 3,
        "smooth": False,
        "blink": False,
        "clamp": False,
        "emotions": '{"joy": 0.8, "fear": 0.1}',
        "gains": '{"jawOpen": 1.5}',
        "offsets": '{"mouthSmileLeft": -0.1}',
    }
    assert len(served.sent) == 4
    assert run("animate", speech, "-o", tmp_path / "face.npy", "--raw").exit_code == 0
    assert served.sent[-1][1] == {"raw": True}


@pytest.mark.parametrize("command", ["animate", "live"])
def test_face_parameters_and_emotions_over_time_reach_the_server(served, speech, tmp_path, command):
    keys = tmp_path / "keys.json"
    keys.write_text('[{"time": 0.4, "emotions": {"joy": 1}}, {"time": 7, "emotions": {"anger": 1}}]')
    arguments = ["--emotion", "fear=0.5", "--emotion-keys", keys, "--emotion-transition", "0.1"]
    arguments += ["--emotion-strength", "0.8", "--region", "upperFaceStrength=1.5", "--region", "lipOpenOffset=-0.3"]
    assert run(command, speech, "-o", tmp_path / "face.npy", *arguments).exit_code == 0
    assert served.sent[0][1] == {
        "emotions": '{"fear": 0.5}',
        "emotion_keys": '[{"time": 0.4, "emotions": {"joy": 1.0}}]',
        "emotion_transition": 0.1,
        "emotion_strength": 0.8,
        "region": '{"upperFaceStrength": 1.5, "lipOpenOffset": -0.3}',
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[", "is not JSON"),
        (b"{}", "a JSON list"),
        (b'[{"time": -1, "emotions": {}}]', "has the time -1"),
        (b"[" * (2**20 + 1), "characters; accepted: at most"),
    ],
)
@pytest.mark.parametrize("command", ["animate", "live"])
def test_a_file_of_keys_that_cannot_be_used_is_refused(served, speech, tmp_path, command, content, words):
    keys = tmp_path / "keys.json"
    if content is not None:
        keys.write_bytes(content)
    result = run(command, speech, "-o", tmp_path / "face.npy", "--emotion-keys", keys)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert served.sent == []


def test_files_at_another_rate(served, speech, tmp_path):
    assert run("animate", speech, "-o", tmp_path / "out", "--format", "npy,glb,jsonl", "--fps", "60").exit_code == 0
    assert np.load(tmp_path / "out" / "speech.npy").shape == (60, 52)
    assert len((tmp_path / "out" / "speech.jsonl").read_text().splitlines()) == 60
    assert (tmp_path / "out" / "speech.glb").read_bytes()[:4] == b"glTF"


def test_a_bad_file_does_not_lose_the_others(served, speech, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    result = run("animate", bad, speech, tmp_path / "missing.wav", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert (tmp_path / "out" / "speech.npy").is_file()
    assert "bad.wav: UnreadableAudio" in result.stderr
    assert "missing.wav: UnreadableAudio" in result.stderr


def test_two_inputs_of_one_name_are_refused_before_anything_is_written(served, speech, tmp_path):
    result = run("animate", speech, speech, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert served.sent == []


def test_a_missing_extra_is_said_before_anything_is_computed(served, speech, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pxr", None)
    result = run("animate", speech, "-o", tmp_path / "face.usda")
    assert isinstance(result.exception, MissingExtra)
    assert served.sent == []


def test_several_files_need_a_folder(served, speech, tmp_path):
    other = speech.with_name("other.wav")
    other.write_bytes(speech.read_bytes())
    assert run("animate", speech, other, "-o", tmp_path / "one.csv").exit_code == 2
    assert served.sent == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "face.xyz"], "UnknownFormat: face.xyz"),
        (["-o", "out", "--format", "npy,bvh"], "UnknownFormat"),
        (["-o", "face.npy", "--level", "2"], "LevelOutOfRange: level is 2.0; accepted: 0..1"),
        (["-o", "face.npy", "--gain", "jaw=1"], "UnknownBlendshape"),
        (["-o", "face.npy", "--fps", "0"], "InvalidRate: fps is 0.0; accepted: 1..240"),
        (["-o", "face.npy", "--emotion", "bliss=1"], "UnknownEmotion: emotions names 'bliss'; accepted: amazement"),
        (["-o", "face.npy", "--region", "chin=1"], "UnknownFaceParameter: region names 'chin'; accepted: skinStrength"),
        (["-o", "face.npy", "--region", "skinStrength=nan"], "InvalidOption: region['skinStrength'] is nan; accepted"),
        (["-o", "face.npy", "--emotion-strength", "9"], "InvalidOption: emotion_strength is 9.0; accepted: 0..2"),
        (["-o", "face.npy", "--emotion", "joy=2"], "EmotionOutOfRange: emotions['joy'] is 2.0; accepted: 0..1"),
    ],
)
def test_mistakes_are_one_line_and_no_traceback(served, speech, arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["emotalk", "animate", str(speech), *arguments])
    monkeypatch.chdir(speech.parent)
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert words in said
    assert "Traceback" not in said
    assert served.sent == []


def test_a_gain_that_is_no_number_is_refused(served, speech):
    result = run("animate", speech, "-o", "face.npy", "--gain", "jawOpen")
    assert result.exit_code == 2
    assert "NAME=NUMBER" in result.stderr


def test_plot_of_audio_and_of_a_result(served, speech, tmp_path):
    assert run("plot", speech, "-o", tmp_path / "a.png").exit_code == 0
    assert run("animate", speech, "-o", tmp_path / "face.csv").exit_code == 0
    assert run("plot", tmp_path / "face.csv", "--audio", speech, "-o", tmp_path / "deep" / "b.png").exit_code == 0
    for path in (tmp_path / "a.png", tmp_path / "deep" / "b.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_url_is_the_options_then_the_variables(monkeypatch):
    monkeypatch.setenv(connection.URL_VARIABLE, "from-variable:1")
    assert connection.given_url("from-option:1") == "from-option:1"
    assert connection.given_url(None) == "from-variable:1"
    monkeypatch.delenv(connection.URL_VARIABLE)
    assert connection.given_url(None) is None


def test_a_named_server_that_is_not_there_is_an_error_and_starts_none(monkeypatch, speech, tmp_path, capsys):
    monkeypatch.setattr(connection, "_embedded", lambda: pytest.fail("a server was started"))
    monkeypatch.setattr("emotalk_client.wire.retry.JITTER.uniform", lambda low, high: 0.0)  # between tries
    monkeypatch.setenv(connection.URL_VARIABLE, "127.0.0.1:1")
    monkeypatch.setattr(sys, "argv", ["emotalk", "animate", str(speech), "-o", str(tmp_path / "x.npy")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert "ServerUnavailable: no server answers at 127.0.0.1:1" in capsys.readouterr().err


def test_health_of_nobody_is_exit_status_1(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["emotalk", "health", "--url", "127.0.0.1:1"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert ServerUnavailable.__name__ in capsys.readouterr().err


def test_version():
    said = run("--version")
    assert said.exit_code == 0
    assert said.stdout.startswith("emotalk-triton 0.")


def test_importing_the_client_loads_nothing_heavy():
    code = "import sys, emotalk_client; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"torch", "onnx", "onnxruntime", "transformers", "librosa", "scipy", "matplotlib", "tritonclient", "grpc"}
    assert not heavy & set(loaded)


def failing(monkeypatch, speech, arguments, capsys):
    """Exit status and standard error of a command as a user runs it."""
    monkeypatch.setattr(sys, "argv", ["emotalk", *map(str, arguments)])
    monkeypatch.chdir(speech.parent)
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return caught.value.code, said


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("face.xyz", "UnknownFormat: face.xyz has the suffix '.xyz'; accepted: .png"),
        ("speech.wav/a.png", "UnwritableFile"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_one_line(served, speech, monkeypatch, capsys, output, words):
    code, said = failing(monkeypatch, speech, ["plot", speech, "-o", output], capsys)
    assert code == 1
    assert words in said
    if output.endswith(".xyz"):
        assert served.sent == []  # found before anything was computed


def test_a_folder_that_cannot_be_made_is_one_line(served, speech):
    result = run("animate", speech, "-o", speech / "face.npy")
    assert result.exit_code == 1
    assert "UnwritableFile" in result.stderr


def test_into_a_pipe_a_file_is_a_line_whole(served, speech, tmp_path):
    folder = tmp_path / ("long" * 30)
    said = run("animate", speech, "-o", folder, "--format", "npy,csv,json,jsonl").stdout
    assert len(said.splitlines()) == 2
    for suffix in ("npy", "csv", "json", "jsonl"):
        assert str(folder / f"speech.{suffix}") in said


def test_a_server_that_goes_away_stops_but_what_was_done_is_told(served, speech, tmp_path, monkeypatch, capsys):
    for name in ("b", "c"):
        speech.with_name(f"{name}.wav").write_bytes(speech.read_bytes())
    served.script = {n: ServerUnavailable("gone") for n in range(1, 99)}
    monkeypatch.setattr("emotalk_client.wire.retry.Retry.run", lambda self, attempt, deadline: attempt(1.0))
    arguments = ["animate", speech, speech.with_name("b.wav"), speech.with_name("c.wav"), "-o", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["emotalk", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    captured = capsys.readouterr()
    assert caught.value.code == 1
    assert "speech.wav" in captured.out
    assert "ServerUnavailable: gone" in captured.err
    assert len(served.sent) == 2  # not tried for the third


@pytest.mark.parametrize("failure", [DeadlineExceeded("slow"), ServerError("odd")])
def test_a_failure_of_one_file_does_not_lose_the_next(served, speech, tmp_path, failure):
    other = speech.with_name("other.wav")
    other.write_bytes(speech.read_bytes())
    served.script = {0: failure}
    result = run("animate", speech, other, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert f"speech.wav: {type(failure).__name__}" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other.npy"]


@pytest.mark.parametrize(
    ("problem", "kind", "words"),
    [
        (server_errors.TritonNotFound("no"), MissingExtra, r"emotalk-triton\[server\]"),
        (server_errors.PortInUse("8001 is taken"), ServerNotStarted, "PortInUse: 8001 is taken"),
    ],
)
def test_an_embedded_server_that_does_not_start_says_why(monkeypatch, problem, kind, words):
    def start(self):
        raise problem

    monkeypatch.setattr(emotalk_server.EmbeddedServer, "__init__", lambda self, **settings: None)
    monkeypatch.setattr(emotalk_server.EmbeddedServer, "start", start)
    monkeypatch.setattr(connection, "_is_there", lambda url: False)
    monkeypatch.delenv(connection.URL_VARIABLE, raising=False)
    with pytest.raises(kind, match=words), connection.connect(None):
        pass


def test_a_server_that_is_busy_is_there_and_one_without_the_model_is_not(monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"127.0.0.1:{listener.getsockname()[1]}"

        def fake_client(transport):
            return lambda url, **_: EmoTalkClient(url, transport=transport, retries=0)

        busy = FakeTransport({0: ServerError("inference is not asked for")})
        monkeypatch.setattr(connection, "EmoTalkClient", fake_client(busy))
        assert connection._is_there(url)

        class Without(FakeTransport):
            async def model_parameters(self, timeout_s):  # noqa: ARG002  # the protocol's
                raise ServerError("unknown model")

        monkeypatch.setattr(connection, "EmoTalkClient", fake_client(Without()))
        assert not connection._is_there(url)
    assert not connection._is_there("127.0.0.1:1")
