"""Whatever dies, hangs or is killed at once: it is served again, on the same ports, and nothing stays behind."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from serving import left_behind, served
from waiting import HANG_S, until

from emotalk_client import EmoTalkClient
from emotalk_contract import tensors
from emotalk_server import EmbeddedServer, watchdog
from emotalk_server.family import TRITON
from emotalk_server.ports import free_ports
from emotalk_server.supervisor import Supervisor

pytestmark = pytest.mark.server

CLIP = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
STEPS = [step.name for step in (*tensors.STEPS, tensors.LIVE)]


@pytest.fixture(scope="module")
def server():
    with EmbeddedServer() as running:
        yield running


@pytest.fixture(scope="module")
def face(server):
    """The quiet server's answer."""
    with EmoTalkClient(server.grpc_url) as client:
        return client.animate(CLIP, sample_rate=16_000).weights


@pytest.fixture
def restarts(server):
    """The number of restarts before the test, when all is well."""
    until(lambda: server.supervisor.state == "serving" and not server.process.family.dead(), "never serves")
    return server.supervisor.restarts


def members(server):
    """Process ids by name."""
    family = server.process.family
    return {member.name: member.pid for member in family._members}


def lives(pid):
    """Say whether ``pid`` runs; one that ended may wait for whoever reaps it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def serves_again(server, face, restarts):
    until(lambda: server.supervisor.restarts > restarts, "nothing was started again")
    with EmoTalkClient(server.grpc_url, timeout_s=HANG_S) as client:
        np.testing.assert_allclose(client.animate(CLIP, sample_rate=16_000).weights, face, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [TRITON, *STEPS])
def test_each_process_may_be_killed(server, face, restarts, name):
    before, urls = members(server), (server.grpc_url, server.http_url)
    assert set(before) == {TRITON, *STEPS}
    os.kill(before[name], signal.SIGKILL)
    serves_again(server, face, restarts)
    assert (server.grpc_url, server.http_url) == urls
    until(lambda: not any(map(lives, before.values())), "an old process lives beside the new ones")
    assert set(members(server)) == set(before)


def test_all_models_at_once(server, face, restarts):
    for name, pid in members(server).items():
        if name != TRITON:
            os.kill(pid, signal.SIGKILL)
    serves_again(server, face, restarts)


def test_a_call_on_its_way_is_answered_by_the_next_triton(server, face, restarts):
    with EmoTalkClient(server.grpc_url, timeout_s=HANG_S) as client:
        client.animate(CLIP, sample_rate=16_000)  # connected
        answers = []
        asking = threading.Thread(
            target=lambda: answers.extend(client.animate(CLIP, sample_rate=16_000) for _ in range(40))
        )
        asking.start()
        os.kill(members(server)["emotalk_decoder"], signal.SIGKILL)
        asking.join(HANG_S)
    assert len(answers) == 40
    for answer in answers:
        np.testing.assert_allclose(answer.weights, face, rtol=0, atol=1e-4)
    assert server.supervisor.restarts > restarts


@pytest.mark.parametrize("name", [TRITON, "wav2vec_emotion"])
def test_one_that_stands_still_is_killed_and_started(server, face, restarts, name):
    os.kill(members(server)[name], signal.SIGSTOP)
    serves_again(server, face, restarts)


def test_a_triton_that_answers_nothing_is_killed_and_started(server, face, restarts, monkeypatch):
    """Whatever keeps it from answering: here, nobody sees that it was stopped."""
    monkeypatch.setattr(watchdog, "STOPPED_S", HANG_S)
    monkeypatch.setattr(watchdog, "SILENT_S", 1.0)
    os.kill(members(server)[TRITON], signal.SIGSTOP)
    serves_again(server, face, restarts)


def test_a_server_that_cannot_start_again_is_tried_again_until_it_can(tmp_path, small_repository):
    import shutil

    repository = tmp_path / "repository"
    shutil.copytree(small_repository, repository)
    graph = repository / "emotalk_decoder" / "1" / "model.onnx"
    with EmbeddedServer(repository) as server:
        graph.rename(tmp_path / "away")
        os.kill(members(server)[TRITON], signal.SIGKILL)
        until(lambda: server.supervisor.state == "restarting", "the death was not noticed")
        until(lambda: server.supervisor._backoff.delay_s > 0, "it was not tried twice")
        assert server.supervisor.alive
        (tmp_path / "away").rename(graph)
        until(lambda: server.supervisor.state == "serving", "it was given up")


def test_a_supervisor_goes_on_after_a_mistake_of_its_own(monkeypatch, caplog):
    """A thread that ended would heal nothing any more."""
    with EmbeddedServer() as server:
        wait = Supervisor._await_outage
        failing = [RuntimeError("planted")]

        def once(supervisor):
            if failing:
                raise failing.pop()
            return wait(supervisor)

        monkeypatch.setattr(Supervisor, "_await_outage", once)
        restarts = server.supervisor.restarts
        os.kill(members(server)[TRITON], signal.SIGKILL)
        until(lambda: server.supervisor.restarts > restarts, "nobody watches any more")
        os.kill(members(server)[TRITON], signal.SIGKILL)
        until(lambda: server.supervisor.restarts > restarts + 1, "nobody watches any more")
    assert "planted" in caplog.text


def test_starting_twice_starts_one():
    server = EmbeddedServer()
    try:
        first = server.start().process.pid
        with server:
            assert server.process.pid == first
            tritons = [p for p in psutil.Process().children(recursive=True) if p.name().startswith("tritonserver")]
            assert first in [p.pid for p in tritons]
    finally:
        server.stop()
    assert not psutil.pid_exists(first)


def test_a_killed_supervisor_is_followed_by_another_at_once(small_repository, tmp_path):
    """As systemd does it, on the same ports; what the first left is gone."""
    ports = free_ports()
    with served(small_repository, tmp_path, ports) as (first, _, _):
        family = psutil.Process(first.pid).children(recursive=True)
        first.kill()
        first.wait()
        with served(small_repository, tmp_path, ports) as (second, _, line):
            assert "ready" in line
            _, alive = psutil.wait_procs(family, timeout=HANG_S)
            assert alive == []
            second.send_signal(signal.SIGTERM)
            assert second.wait(HANG_S) == 0
    assert left_behind(tmp_path) == []


EMBEDDED_IN_A_THREAD = """
import os, signal, sys, threading, time
from emotalk_server import EmbeddedServer

def serve():
    server = EmbeddedServer().start()
    os.kill(server.process.pid, signal.SIGKILL)
    while server.supervisor.restarts == 0:
        time.sleep(0.02)
    print(server.process.pid, flush=True)

thread = threading.Thread(target=serve)
thread.start()
thread.join()
time.sleep(600)
"""


def test_nothing_outlives_a_program_that_started_it_from_a_thread_and_was_killed(tmp_path):
    """The kernel watches the thread that forked, which is not one that ends; after a restart likewise."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", EMBEDDED_IN_A_THREAD]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:
        triton = int(program.stdout.readline())
        assert psutil.pid_exists(triton)
        family = psutil.Process(program.pid).children(recursive=True)
        program.kill()
    _, alive = psutil.wait_procs(family, timeout=HANG_S)
    assert alive == []
    until(lambda: not list(tmp_path.glob("emotalk-server-*")), "the folder stays behind")
    assert left_behind(tmp_path) == []


def test_triton_ends_with_whoever_started_it_though_the_janitor_was_killed_first(tmp_path):
    with served(Path(__file__).parents[2] / "model_repository", tmp_path) as (process, _, _):
        family = psutil.Process(process.pid).children(recursive=True)
        for one in family:
            if "leavings" in " ".join(one.cmdline()):
                one.kill()
        process.kill()
        _, alive = psutil.wait_procs(family, timeout=HANG_S)
        assert alive == []
    with served(Path(__file__).parents[2] / "model_repository", tmp_path) as (second, _, _):
        assert len(list(tmp_path.glob("emotalk-server-*"))) == 1, "the next server did not sweep"
        second.terminate()
        assert second.wait(HANG_S) == 0
    assert left_behind(tmp_path) == []
