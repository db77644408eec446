"""The audit log: who, what and how much, at every door; never what was said, in no log and no span."""

import asyncio
import base64
import contextvars
import json
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from asking import RATE, STREAM, Gateway
from collecting_spans import collecting
from doorcallers import CONVERT, SAY, SPEECH, Known, a2f, all_doors, configs, emotalk, omniverse, shown, socket_code
from waiting import HANG_S, until
from websockets.sync.client import connect

from emotalk_gateway.service.auditing import audited, begun, entry
from emotalk_gateway.service.errors import InvalidSettings

pytestmark = pytest.mark.server

FIELDS = {
    "time", "request", "caller", "address", "door", "operation", "outcome", "error", "seconds", "speech_s", "frames",
    "bytes_in", "bytes_out",
}  # fmt: skip


@pytest.fixture
def known(tmp_path):
    made = Known(tmp_path)
    made.add("studio")
    made.add("brief", "animate")
    return made


@pytest.fixture
def log(tmp_path):
    """``log()``: the lines so far."""
    file = tmp_path / "audit.log"
    with audited(file):

        def lines():
            return [json.loads(line) for line in file.read_text().splitlines()]

        lines.file = file
        yield lines


def told(line, *names):
    return tuple(line[name] for name in names)


def test_a_line_for_each_request_at_every_door(gateway_to, known, tmp_path, wav, voice, log):
    second = wav(voice[:RATE])
    with gateway_to(tokens=known.file, doors=all_doors(tmp_path)) as gateway:
        answer = gateway.post(STREAM, second, {**shown("studio"), "X-Request-Id": "clip-7"})
        assert answer.headers["x-request-id"] == "clip-7"
        odd = gateway.post(STREAM, second, {**shown("nobody"), "X-Request-Id": "two words"})
        assert re.fullmatch("[0-9a-f]{32}", odd.headers["x-request-id"])
        gateway.post(STREAM, b"no sound!", shown("studio"))
        with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream") as socket:
            socket.send(json.dumps({"type": "start", "sample_rate": RATE, "token": "STUDIO"}))
            socket.send((voice[: 2 * RATE] * 32_767).astype("<i2").tobytes())
            socket.send('{"type": "end"}')
            said = sum(len(json.loads(text).get("frames", [])) if "frames" in text else 0 for text in taken(socket))
        assert said == 60
        assert socket_code(gateway, "brief")[0] == 1008
        assert a2f(gateway, "studio")[0] == "OK"
        assert configs(gateway, None) == "UNAUTHENTICATED"
        assert emotalk(gateway, "studio", second) == "OK"
        assert omniverse(gateway, "brief") == 200
        for free in ("/health/live", "/metrics?token=STUDIO", "/api/v1/capabilities", "/", "/head.glb", "/none"):
            gateway.get(free)
        gateway.settle()
    lines = log()
    assert all(set(line) == FIELDS for line in lines)
    assert all(line["address"] == "127.0.0.1" for line in lines)
    assert [told(line, "door", "caller", "outcome", "error", "frames") for line in lines] == [
        ("http", "studio", 200, None, 30),
        ("http", None, 401, "NotAuthorised", 0),
        ("http", "studio", 415, "UnreadableAudio", 0),
        ("websocket", "studio", 1000, None, 60),
        ("websocket", "brief", 1008, "NotPermitted", 0),
        ("grpc", "studio", "OK", None, 30),
        ("grpc", None, "UNAUTHENTICATED", "NotAuthorised", 0),
        ("grpc", "studio", "OK", None, 30),
        ("omniverse", "brief", 200, None, 0),
        ("http", None, 401, "NotAuthorised", 0),  # figures, where callers have names
    ]
    assert [line["speech_s"] for line in lines] == [1.0, 0, 0, 2.0, 0, 1.0, 0, 1.0, 0, 0]
    assert lines[0]["request"] == "clip-7"
    assert lines[0]["operation"] == STREAM
    assert lines[5]["operation"].endswith("/ProcessAudioStream")
    assert lines[0]["bytes_in"] > len(second)
    assert lines[0]["bytes_out"] == len(answer.body)
    assert lines[3]["bytes_in"] > 4 * RATE
    assert lines[5]["bytes_in"] > 2 * RATE
    assert lines[5]["bytes_out"] > 30 * 4 * 52


def taken(socket):
    while (text := socket.recv(HANG_S)) and '"end"' not in text:
        yield text


def test_a_file_that_is_moved_away_is_made_anew(gateway_to, known, log, tmp_path):
    with gateway_to(tokens=known.file) as gateway:
        ask = lambda: gateway.ask("POST", CONVERT, b"{}", shown("studio"))  # noqa: E731
        ask()
        until(log, "no line came")  # it is written when the answer is out
        log.file.rename(tmp_path / "audit.log.1")
        ask()
        ask()
    assert len(log()) == 2
    assert len((tmp_path / "audit.log.1").read_text().splitlines()) == 1


def test_a_file_that_cannot_be_written_is_refused_in_words(tmp_path):
    wrong = pytest.raises(InvalidSettings, match=r"audit log '.*none/a.log' cannot be written.*accepted")
    with wrong, audited(tmp_path / "none" / "a.log"):
        pass


SOUND, TEXT, QUERY, WRONG = "GEHEIMER-KLANG", "der geheime Satz", "geheime-frage", "geheimer-schluessel"
"""Secrets that are planted: in samples, in texts, in addresses, in tokens that nobody has."""


def test_no_secret_is_in_any_log_or_span(triton, known, tmp_path, wav):
    """A gateway that logs all that it can, asked at every door, with what is right and what is wrong."""
    pcm = np.resize(np.frombuffer(SOUND.encode(), "<i2"), RATE)
    clip = wav(pcm.astype(np.float32) / 32_768)
    audit = tmp_path / "audit.log"
    command = [sys.executable, "-m", "emotalk_cli", "--verbose", "gateway", "--url", triton.grpc_url, "--port", "0"]
    command += ["--a2f-port", "0", "--emotalk-port", "0", "--omniverse-port", "0", "--omniverse-folder", str(tmp_path)]
    command += ["--tokens", str(known.file), "--audit", str(audit)]
    with collecting() as (collector, endpoint):
        environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with (
            (tmp_path / "said").open("w+b") as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment) as process,
        ):
            try:
                line = process.stdout.readline()
                named = {name: int(port) for name, port in re.findall(r"(\S+) (?:http://)?127\.0\.0\.1:(\d+)", line)}
                ports = [named[name] for name in ("ready:", "Audio2Face-3D", "EmoTalk", "omniverse")]
                gateway = Gateway(ports[0], None, None, None, [SimpleNamespace(port=port) for port in ports[1:]])
                for name in ("studio", WRONG):
                    ask_all(gateway, name, clip, pcm)
                process.send_signal(signal.SIGTERM)
                assert process.wait(HANG_S) == 0
            finally:
                process.kill()
            said.seek(0)
            logged = said.read() + audit.read_bytes() + b"".join(collector.bodies) + line.encode()
    assert len(audit.read_text().splitlines()) >= 20
    assert len(collector.spans) > 20
    assert b"NotAuthorised" in logged
    raw = SOUND.encode()
    secrets = [raw, *(base64.b64encode(raw[skip:])[:12] for skip in range(3))]
    secrets += [word.encode() for word in (TEXT, QUERY, WRONG, WRONG.upper(), "STUDIO", "BRIEF")]
    secrets += [word.encode() for word in (WRONG.upper()[::-1], known.all["studio"].digest.hex())]
    assert [secret for secret in secrets if secret in logged] == []


def ask_all(gateway, name, clip, pcm):
    headers = shown(name)
    gateway.post(f"{STREAM}?secret={QUERY}", clip, headers)
    gateway.post(STREAM, base64.b64encode(clip), headers)
    gateway.post(STREAM, SOUND.encode() * 100, headers)
    gateway.post(STREAM, clip[:-100], headers)
    for path, field in ((SAY, "text"), (SPEECH, "input")):
        gateway.ask("POST", path, json.dumps({field: TEXT}).encode(), headers)
        gateway.ask("POST", path, json.dumps({field: TEXT * 1000}).encode(), headers)
        gateway.ask("POST", path, TEXT.encode(), headers)
    gateway.ask("POST", f"{CONVERT}&secret={QUERY}", SOUND.encode(), headers)
    gateway.get(f"/{QUERY}", **headers)
    gateway.get("/metrics", **headers)
    a2f(gateway, name)
    configs(gateway, name)
    emotalk(gateway, name, clip)
    emotalk(gateway, name, SOUND.encode() * 10)
    omniverse(gateway, name)
    for then in (pcm.tobytes(), json.dumps({"type": "text", "text": TEXT}), TEXT):
        with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream?secret={QUERY}") as socket:
            socket.send(json.dumps({"type": "start", "sample_rate": RATE, "token": name.upper()}))
            socket.send(then)
            socket.send('{"type": "end"}')
            for _ in socket_says(socket):
                pass


def socket_says(socket):
    from websockets.exceptions import ConnectionClosed

    try:
        while True:
            yield socket.recv(HANG_S)
    except ConnectionClosed:
        return


async def test_a_request_that_nobody_waits_for_any_more_is_closed_anywhere():
    async def request():
        with begun("kafka") as noted:
            noted.asked = True
            await asyncio.sleep(0)

    left = request()
    contextvars.copy_context().run(left.send, None)
    left.close()  # as the garbage collector does, in whatever context it runs
    assert entry().door == "none"
