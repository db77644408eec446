"""`emotalk gateway` as a person runs it: it says where it is, stops when told to, and finds its server again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from asking import RATE, STREAM, Gateway, events, face, form
from waiting import HANG_S
from websockets.sync.client import connect

from emotalk_server import EmbeddedServer

pytestmark = pytest.mark.server

TOKEN = "open sesame"
COMMAND = [sys.executable, "-m", "emotalk_cli", "gateway"]


@contextmanager
def started(*options, **environment):
    environment = {**{k: v for k, v in os.environ.items() if k != "EMOTALK_URL"}, **environment}
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        said = process.stdout.readline()
        assert "is ready" in said, process.stderr.read()
        yield Gateway(int(said.split("http://127.0.0.1:")[1].split(",")[0]), None, None, process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_before_what_is_open_is_done_and_says_so(triton, number, endless_clip):
    with started("--url", triton.grpc_url) as gateway:
        body, kind = form(endless_clip, "file", {"window": 0.5})
        streaming = gateway.connection()
        streaming.request("POST", STREAM, body, {"Content-Type": kind})
        answer = streaming.getresponse()
        first = answer.readline()
        with connect(f"ws://127.0.0.1:{gateway.port}/ws/stream") as talking:
            talking.send(json.dumps({"type": "start", "sample_rate": 16_000}))
            assert json.loads(talking.recv(HANG_S))["type"] == "started"
            gateway.server.send_signal(number)
            assert json.loads(talking.recv(HANG_S))["error"] == "GatewayStopping"
        found = events(first + answer.read())
        answer.close()
        streaming.close()
        assert (found[-1][0], found[-1][1].get("error")) == ("error", "GatewayStopping")
        assert gateway.server.wait(HANG_S) == 0
        assert gateway.server.stderr.read() == ""


def test_a_server_that_went_away_is_found_again(wav, voice):
    second = wav(voice[:16_000])
    with EmbeddedServer() as first:
        ports = first.process.settings.ports
        with started("--url", first.grpc_url) as gateway:
            assert gateway.post(STREAM, second).status == 200
            first.stop()
            assert gateway.get("/health").status in (503, 504)
            with EmbeddedServer(ports=ports):
                until = time.monotonic() + HANG_S
                while gateway.get("/health").status != 200:
                    assert time.monotonic() < until, "the server is back, and was not found"
                    time.sleep(0.1)
                assert len(face(gateway.post(STREAM, second).body)[0]) == 30


def test_without_a_server_one_is_started_for_it(wav, voice):
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 8001))
        except OSError:
            pytest.skip("a server listens on the default port")
    with started(EMOTALK_GATEWAY_TOKEN=TOKEN) as gateway:
        answer = gateway.post(STREAM, wav(voice[:16_000]), {"Authorization": f"Bearer {TOKEN}"})
        assert len(face(answer.body)[0]) == 30
        gateway.server.terminate()
        assert gateway.server.wait(HANG_S) == 0
        assert "starting an embedded one" in gateway.server.stderr.read()


def refused(*options, status=1, **environment):
    said = subprocess.run(
        [*COMMAND, *options], env={**os.environ, **environment}, capture_output=True, text=True, timeout=HANG_S
    )
    assert said.returncode == status
    assert "Traceback" not in said.stderr
    return said.stderr


def test_a_port_in_use_and_an_address_that_is_none():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"AddressInUse: port {port}" in refused("--url", "localhost:1", "--port", str(port))
    assert "CannotListen" in refused("--url", "localhost:1", "--host", "192.0.2.1")
    assert "65535" in refused("--url", "localhost:1", "--port", "70000", status=2)
    assert "InvalidAddress" in refused("--url", "http://x", "--port", "0")


def test_a_setting_that_cannot_be_is_said_without_its_value():
    assert "InvalidSettings: max_requests" in refused("--max-requests", "0")
    assert "InvalidSettings: max_audio_s" in refused(EMOTALK_GATEWAY_MAX_AUDIO_S="long")
    assert "InvalidSettings: token" in refused(EMOTALK_GATEWAY_TOKEN="")
    assert "cors_origins" in refused(EMOTALK_GATEWAY_CORS_ORIGINS="https://example.org")


def test_without_the_extra_it_is_named():
    code = "import sys; sys.modules['fastapi'] = None; from emotalk_cli import main; main()"
    said = subprocess.run([sys.executable, "-c", code, "gateway"], capture_output=True, text=True, timeout=HANG_S)
    assert said.returncode == 1
    assert "MissingExtra: the gateway needs fastapi; install `emotalk-triton[gateway]`" in said.stderr


def test_the_thin_client_does_not_know_it():
    code = (
        "import sys, emotalk_cli, emotalk_client;"
        "print([m for m in sys.modules if m.split('.')[0] in ('fastapi', 'uvicorn', 'pydantic', 'orjson', 'websockets')"
        " or m.startswith('emotalk_gateway')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_doors_that_are_asked_for_are_open(triton, tmp_path, wav, voice):
    options = ("--omniverse-port", "0", "--omniverse-port", "0", "--omniverse-folder", str(tmp_path))
    with started("--url", triton.grpc_url, *options, "--emotalk-port", "0") as gateway:
        assert gateway.server.poll() is None
        assert face(gateway.post(STREAM, wav(voice[:RATE])).body)[0].size == 30
        gateway.server.send_signal(signal.SIGINT)
        assert gateway.server.wait(HANG_S) == 0


def test_doors_that_cannot_be_opened(triton, tmp_path):
    assert "--omniverse-folder" in refused("--omniverse-port", "0")
    assert "--omniverse-folder" in refused("--omniverse-folder", str(tmp_path))
    here = ("--url", triton.grpc_url, "--port", "0")
    nowhere = ("--omniverse-folder", str(tmp_path / "none"))
    assert "InvalidSettings: --omniverse-folder" in refused(*here, "--omniverse-port", "0", *nowhere)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options in (("--omniverse-port", port, "--omniverse-folder", str(tmp_path)), ("--emotalk-port", port)):
            assert f"AddressInUse: port {port}" in refused(*here, *options)


def test_what_cannot_be_is_said_before_a_server_is_started(tmp_path):
    """None is named, so that one would be started, which is said."""
    (tmp_path / "broken").write_text("broken")
    broken = str(tmp_path / "broken")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, words in (
            (("--a2f-port", port), "AddressInUse"),
            (("--emotalk-port", port), "AddressInUse"),
            (("--omniverse-port", port, "--omniverse-folder", str(tmp_path)), "AddressInUse"),
            (("--tls-cert", broken, "--tls-key", broken), "TLS cannot be had from"),
            (("--a2f-port", "0", "--a2f-tls-cert", broken, "--a2f-tls-key", broken), "TLS cannot be had from"),
            (("--tokens", broken), "are not JSON"),
            (("--audit", str(tmp_path / "none" / "audit.log")), "cannot be written"),
        ):
            said = refused("--port", "0", *options)
            assert words in said
            assert "starting" not in said
