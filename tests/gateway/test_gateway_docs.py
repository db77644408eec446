"""docs/gateway.md says what is true, and its examples run as they are written."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from asking import events

from emotalk_avatar import errors as avatar_errors
from emotalk_avatar.video import errors as video_errors
from emotalk_client import errors as client_errors
from emotalk_contract import errors as contract_errors
from emotalk_gateway.service import errors as gateway_errors
from emotalk_gateway.service.errors import TABLE, problem_of
from emotalk_gateway.service.settings import GatewaySettings

pytestmark = pytest.mark.server

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"
TEXT = PAGE.read_text("utf-8")


README = PAGE.parents[1].joinpath("README.md").read_text("utf-8")


def example(language, word, text=TEXT):
    (found,) = [block for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if word in block]
    return found


@pytest.fixture
def speech(tmp_path, voice):
    soundfile.write(tmp_path / "speech.wav", voice[: 2 * 16_000], 16_000)
    return tmp_path


def run(command, code, folder, gateway):
    code = code.replace("localhost:8080", f"127.0.0.1:{gateway.port}")
    said = subprocess.run([*command, code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_examples(gateway, speech):
    said = run(["/bin/bash", "-c"], example("bash", "process-audio-stream"), speech, gateway)
    assert events(said.encode())[-1] == ("end", {"frames": 60, "fps": 30})
    lines = run(["/bin/bash", "-c"], example("bash", "process-audio/"), speech, gateway).splitlines()
    assert sum(json.loads(line)["result"]["numFrames"] for line in lines) == 48
    run(["/bin/bash", "-c"], example("bash", "convert"), speech, gateway)
    assert len((speech / "face.csv").read_text().splitlines()) == 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_curl_example(gateway, speech):
    code = example("bash", "process-audio-stream", README).replace("| head -c 300", "")
    said = run(["/bin/bash", "-c"], code, speech, gateway)
    assert events(said.encode())[-1] == ("end", {"frames": 60, "fps": 30})


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("text", [TEXT, README], ids=["docs/gateway.md", "README.md"])
def test_the_javascript_example(gateway, speech, text):
    setting = (
        'import { readFileSync } from "node:fs";\n'
        'const audio = new Blob([readFileSync("speech.wav")]);\n'
        "const show = (seconds, weights) => console.log(seconds, weights.length);\n"
    )
    code = setting + example("javascript", "fetch", text)
    lines = run(["node", "--input-type=module", "-e"], code, speech, gateway).splitlines()
    assert len(lines) == 60
    assert lines[30] == "1 52"


def test_the_python_example(gateway, speech):
    lines = run([sys.executable, "-W", "ignore", "-c"], example("python", "websockets"), speech, gateway).splitlines()
    assert len(lines) == 60
    assert lines[30].startswith("30 1.0 ")


def settings_table():
    """Of GatewaySettings, as the page has it."""
    rows = ["| variable | default | |", "|---|---|---|"]
    for name, field in GatewaySettings.model_fields.items():
        default = "none" if field.default in (None, ()) else str(field.default).removesuffix(".0")
        meaning = field.description.replace("``", "`").replace("\n", " ")
        rows.append(f"| `EMOTALK_GATEWAY_{name.upper()}` | {default} | {meaning} |")
    return "\n".join(rows)


def test_every_setting_is_in_the_table_as_it_is():
    (block,) = re.findall(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", TEXT, re.DOTALL)
    assert block == settings_table()


def said_errors():
    """Status by class, of the table of errors."""
    found = {}
    section = TEXT.split("## Errors")[1].split("\n## ")[0]
    for names, status in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (\d{3}) \|", section, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"\w+", names), int(status))
    return found


def test_every_error_is_in_the_table_with_its_status():
    said = said_errors()
    at_start = {"GatewayError", "InvalidSettings", "CannotListen", "AddressInUse"}
    # No request can bring them about, or they are a base of others.
    files = {"FormatError", "UnreadableAnimation", "UnreadableHead", "InvalidMap", "AudioError"}
    possible = [
        *(kind for kind in vars(gateway_errors).values() if _is_error(kind, gateway_errors.GatewayError)),
        *(kind for kind in vars(avatar_errors).values() if _is_error(kind, avatar_errors.AvatarError)),
        *(kind for kind in vars(video_errors).values() if _is_error(kind, avatar_errors.AvatarError)),
        *(kind for kind in vars(client_errors).values() if _is_error(kind, client_errors.AudioError)),
        *(kind for kind in vars(client_errors).values() if _is_error(kind, client_errors.FormatError)),
        *contract_errors.InvalidRequest.__subclasses__(),
        *(row.kind for row in TABLE if row.words is not None),
        client_errors.SessionEnded,
        contract_errors.InvalidRequest,
    ]
    for kind in possible:
        if kind.__name__ not in at_start | files:
            assert said.get(kind.__name__) == problem_of(kind("x")).status, kind.__name__
    framework = {"NotFound": 404, "MethodNotAllowed": 405, "InternalError": 500}
    assert said.items() >= framework.items()
    assert set(said) == {kind.__name__ for kind in possible} - at_start - files | set(framework)


def _is_error(kind, base):
    return isinstance(kind, type) and issubclass(kind, base)


def test_every_route_is_in_the_table(gateway):
    described = gateway.get("/openapi.json").json["paths"]
    for path in [*described, "/ws/stream", "/docs", "/openapi.json"]:
        assert f"{path}`" in TEXT, path
