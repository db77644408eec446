"""Three truths on the server's own port: alive, ready, deep."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from serving import served

from emotalk_server import EmbeddedServer, probe, probing, watchdog
from emotalk_server.health import HealthListener, live, ready
from emotalk_server.ports import free_ports

pytestmark = pytest.mark.server

HANG_S = 60.0


def ask(url, path):
    try:
        with urllib.request.urlopen(f"http://{url}{path}", timeout=HANG_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def health():
    port = free_ports().http
    with EmbeddedServer() as server, HealthListener(server, "127.0.0.1", port) as listener:
        yield server, listener.url


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_all_is_well(health, prefix):
    _, url = health
    assert ask(url, f"{prefix}/health/live") == (200, {"good": True, "why": "serving", "latency_s": None})
    assert ask(url, f"{prefix}/health/ready") == (200, {"good": True, "why": "serving", "latency_s": None})
    status, said = ask(url, f"{prefix}/health")
    assert (status, said["why"]) == (200, "served")
    assert said["latency_s"] > 0
    assert ask(url, f"{prefix}/nothing")[0] == 404


def test_a_stopped_process_is_alive_and_not_ready(health, monkeypatch):
    monkeypatch.setattr(watchdog, "STOPPED_S", HANG_S)  # it stays stopped for as long as the test asks
    server, url = health
    pid = next(m.pid for m in server.process.family._members if m.name == "wav2vec_content")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert ask(url, "/health/live")[0] == 200
        status, said = ask(url, "/health/ready")
        assert (status, said["why"]) == (503, "stopped: wav2vec_content")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ask(url, "/health/ready")[0] == 200


@pytest.mark.parametrize("model", ["wav2vec_content", "emotalk_live"])
def test_the_deep_check_misses_any_model_that_callers_ask(model):
    with EmbeddedServer(supervised=False) as server:
        server.process.probe(HANG_S)
        pid = next(m.pid for m in server.process.family._members if m.name == model)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(probing.ProbeFailed, match=r"timed out|is not healthy"):
                server.process.probe(1.0)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_ready_is_false_from_the_death_on_and_live_stays_true(health):
    server, url = health
    restarts = server.supervisor.restarts
    os.kill(server.process.pid, signal.SIGKILL)
    seen = set()
    until = time.monotonic() + HANG_S
    while server.supervisor.restarts == restarts and time.monotonic() < until:
        assert ask(url, "/health/live")[0] == 200
        seen.add(ask(url, "/health/ready")[0])
    assert 503 in seen
    assert ask(url, "/health/ready")[0] == 200


def test_callers_that_send_nothing_keep_nobody_waiting(health):
    _, url = health
    host, port = url.split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    try:
        assert ask(url, "/health/live")[0] == 200
    finally:
        for one in silent:
            one.close()


def test_one_that_was_not_started_is_alive_and_not_ready():
    server = EmbeddedServer()
    assert live(server).good
    assert not ready(server).good


def test_the_command_listens_and_the_images_probe_asks_it(small_repository, tmp_path):
    port = free_ports().http
    with served(small_repository, tmp_path, options=("--health-port", str(port))) as (process, _, line):
        url = f"http://127.0.0.1:{port}"
        assert f"health 127.0.0.1:{port}" in line
        assert probe.main([url]) == 0
        assert probe.main(["--ready", url]) == 0
        assert probe.main(["--deep", url]) == 0
        process.terminate()
        assert process.wait(HANG_S) == 0
        assert probe.main([url]) == 1


def test_the_images_probe_warns_of_nothing():
    command = [sys.executable, "-W", "error", "-m", "emotalk_server.probe", "--live", "http://127.0.0.1:9"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert (said.returncode, said.stderr.count("\n")) == (1, 1)
    assert said.stderr.startswith("not healthy: http://127.0.0.1:9/health/live")
