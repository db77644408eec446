"""Voices by name, and each engine against a stand-in of what it needs."""

import http.server
import json
import shutil
import sys
import threading

import numpy as np
import pytest

from emotalk_contract.errors import UnknownLanguage, UnknownVoice, VoiceNotInstalled
from emotalk_speech import speak
from emotalk_speech.engines import Voices, make
from emotalk_speech.engines.espeak import clauses
from emotalk_speech.engines.flite import phones
from emotalk_speech.serving import named
from emotalk_speech.speaking import LEAD_S, TAIL_S, trimmed
from emotalk_speech.voice import Sound, Timed, Voice

pytestmark = pytest.mark.unit

WRITES = """
import io, sys, wave
text = sys.stdin.read()
with wave.open(sys.stdout.buffer, "wb") as file:
    file.setnchannels(1); file.setsampwidth(2); file.setframerate(8000)
    file.writeframes(b"\\x00\\x20" * 800 * len(text.split()))
"""


@pytest.fixture
def writes(tmp_path):
    script = tmp_path / "a voice.py"
    script.write_text(WRITES)
    return f"command:{sys.executable} '{script}' {{language}}"


def test_a_command_is_a_voice(writes):
    voices = Voices({"mine": writes})
    (said,) = speak("three words here.", "de", voices, "mine")
    assert said.sample_rate == 8000
    assert said.duration_s == pytest.approx(0.3 + LEAD_S + TAIL_S, abs=0.01)
    assert said.words == ()
    assert isinstance(voices.find("mine", "de"), Voice)


@pytest.mark.parametrize("command", ["", "'", "/nowhere/voice", f"{sys.executable} -c 'print(3)'", "false"])
def test_a_command_that_does_not_speak(command):
    with pytest.raises((UnknownVoice, VoiceNotInstalled)):
        make(f"command:{command}").say("Hello.", "en", 1.0, 0)


@pytest.mark.parametrize("name", ["nobody", "piper:/etc/passwd", "command:rm", "openai:http://169.254.169.254/"])
def test_a_request_names_a_voice_and_nothing_else(name):
    with pytest.raises(UnknownVoice, match="espeak, flite, hibari, mine"):
        Voices({"mine": "command:true"}).find(name, "en")


def test_voices_of_the_environment():
    assert named("a=piper:/x.onnx; b = openai:http://h/v1?voice=z;") == {
        "a": "piper:/x.onnx",
        "b": "openai:http://h/v1?voice=z",
    }


def test_a_language_that_a_voice_does_not_speak():
    with pytest.raises(UnknownLanguage, match="accepted: en"):
        Voices().find("flite", "fa")


@pytest.fixture
def speech_api():
    """A server of ``/v1/audio/speech``; what it was asked, and what it is to answer."""
    asked, answers = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # the library's name
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            status, content = answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", asked, answers
        server.shutdown()
        thread.join()


def test_an_openai_server_is_a_voice(speech_api, monkeypatch):
    url, asked, answers = speech_api
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    tone = (8000 * np.sin(np.arange(2400) / 5)).astype("<i2")
    answers.append((200, tone.tobytes()))
    sound = make(f"openai:{url}?model=kokoro&voice=bella").say("Hello.", "en", 1.25, 0)
    assert sound.sample_rate == 24_000
    np.testing.assert_allclose(sound.audio, tone / 32768, atol=1e-6)
    path, key, body = asked[0]
    assert (path, key) == ("/v1/audio/speech", "Bearer secret")
    assert body == {
        "model": "kokoro",
        "voice": "bella",
        "input": "Hello.",
        "speed": 1.25,
        "response_format": "pcm",
    }


@pytest.mark.parametrize("answer", [(500, b"no"), (404, b""), (200, b"RIFF....broken")])
def test_an_openai_server_that_fails(speech_api, answer):
    url, _, answers = speech_api
    answers.append(answer)
    with pytest.raises(VoiceNotInstalled, match="own server"):
        make(f"openai:{url}").say("Hello.", "en", 1.0, 0)


@pytest.mark.parametrize("where", ["", "file:///etc/passwd", "localhost"])
def test_a_base_url_that_is_none(where):
    with pytest.raises(UnknownVoice, match="https://HOST"):
        make(f"openai:{where}")


def test_a_file_that_is_not_pipers(tmp_path):
    with pytest.raises(VoiceNotInstalled, match=r"FILE\.onnx\.json"):
        make(f"piper:{tmp_path / 'x.onnx'}")


def test_phones_as_flite_writes_them():
    assert phones("pau:0.2 hh:0.3 ow:0.5 pau:0.6") == (Timed("hh", 0.2, 0.3), Timed("ow", 0.3, 0.5))


def test_clauses_keep_what_follows_them():
    assert clauses("سلام، من بابک هستم. بله؟") == [("سلام", "،"), ("من بابک هستم", "."), ("بله", "؟")]


def test_silence_is_trimmed_and_the_times_move_along():
    rate = 1000
    audio = np.concatenate([np.zeros(300), np.ones(500), np.zeros(900)]).astype(np.float32)
    sound = trimmed(Sound(audio, rate, (Timed("a", 0.3, 0.8),), (Timed("b", 0.3, 0.4), Timed("c", 0.4, 1.7))))
    assert len(sound.audio) == 500 + round((LEAD_S + TAIL_S) * rate)
    assert sound.words[0].start == pytest.approx(LEAD_S)
    assert sound.phones[1].end == len(sound.audio) / rate
    short = trimmed(Sound(np.ones(100, np.float32), rate, (Timed("a", 0.0, 0.1),)))
    assert short.words[0].start == pytest.approx(LEAD_S)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_piper_voice(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["input"], ["as_float"], to=kind.FLOAT),
        helper.make_node("Mul", ["as_float", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "frames"], ["two"]),
        helper.make_node("Ceil", ["two"], ["/Ceil_output_0"]),
        helper.make_node("ReduceSum", ["/Ceil_output_0"], ["all_frames"], keepdims=0),
        helper.make_node("Mul", ["all_frames", "hop"], ["samples"]),
        helper.make_node("Cast", ["samples"], ["length"], to=kind.INT64),
        helper.make_node("Reshape", ["length", "one"], ["shape"]),
        helper.make_node(
            "ConstantOfShape", ["shape"], ["output"], value=helper.make_tensor("half", kind.FLOAT, [1], [0.5])
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "voice",
        [
            helper.make_tensor_value_info("input", kind.INT64, [1, "ids"]),
            helper.make_tensor_value_info("input_lengths", kind.INT64, [1]),
            helper.make_tensor_value_info("scales", kind.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", kind.FLOAT, ["samples"])],
        [
            helper.make_tensor("zero", kind.FLOAT, [], [0.0]),
            helper.make_tensor("frames", kind.FLOAT, [], [1.5]),
            helper.make_tensor("hop", kind.FLOAT, [], [256.0]),
            helper.make_tensor("one", kind.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "fa.onnx")
    ids = {symbol: [number] for number, symbol in enumerate("_^$ .mnbɑaˈkhst")}
    settings = {"audio": {"sample_rate": 22050}, "espeak": {"voice": "fa"}, "phoneme_id_map": ids}
    (tmp_path / "fa.onnx.json").write_text(json.dumps(settings))
    voices = Voices({"amir": f"piper:{tmp_path / 'fa.onnx'}"})
    (said,) = speak("من بابک.", "fa", voices, "amir")
    assert said.sample_rate == 22050
    assert [word.text for word in said.words] == ["من", "بابک"]
    assert "".join(phone.text for phone in said.phones) == "manbɑbak"
    assert said.phones[-1].end <= said.duration_s
    with pytest.raises(UnknownLanguage):
        voices.find("amir", "en")
