"""Starting, stopping and staying up: `emotalk-server` as a person runs it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy
import psutil
import pytest

from emotalk_client import EmoTalkClient
from emotalk_contract import tensors
from emotalk_server import EmbeddedServer
from emotalk_server.errors import (
    InvalidRepository,
    MissingGraph,
    ModelFailedToLoad,
    PortInUse,
    TritonNotFound,
    UnsuitablePython,
    UnsupportedProfile,
)
from emotalk_server.installation import find_triton
from emotalk_server.log import load_failures
from emotalk_server.ports import free_ports
from emotalk_server.probe import ProbeFailed
from emotalk_server.process import SHARED_MEMORY
from emotalk_server.supervisor import dead_model, heal

pytestmark = pytest.mark.server


def start(repository, *options):
    ports = free_ports()
    command = [sys.executable, "-m", "emotalk_server.cli", "--repository", str(repository)]
    command += ["--http-port", str(ports.http), "--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)]
    return subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True), ports


def descendants(pid):
    return psutil.Process(pid).children(recursive=True)


def stub_of(model):
    """The process that runs ``model`` for a server that this process embeds."""
    for process in descendants(os.getpid()):
        try:
            if model in " ".join(process.cmdline()):
                return process
        except psutil.Error:  # it has just ended
            continue
    raise AssertionError(f"no process runs {model}")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_one_line_says_when_and_where_and_a_signal_stops_all_of_it(small_repository, stop):
    process, ports = start(small_repository)
    try:
        line = process.stderr.readline()
        assert "ready" in line
        for port in (ports.http, ports.grpc, ports.metrics):
            assert f"127.0.0.1:{port}" in line
        with urllib.request.urlopen(f"http://127.0.0.1:{ports.metrics}/metrics") as response:
            assert b"nv_inference_request_success" in response.read()
        family = descendants(process.pid)
        assert len(family) > len(tensors.STEPS)
        began = time.monotonic()
        process.send_signal(stop)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - began < 5
        assert process.stderr.read() == ""
        _, alive = psutil.wait_procs(family, timeout=2)
        assert alive == []
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
    assert not list(SHARED_MEMORY.glob(f"emotalk_{process.pid}_*"))


def test_a_server_ends_with_the_program_that_embeds_it(small_repository):
    """Even when that program is killed and can clean up nothing."""
    process, _ = start(small_repository)
    try:
        assert "ready" in process.stderr.readline()
        family = descendants(process.pid)
        process.kill()
        _, alive = psutil.wait_procs(family, timeout=8)
        assert alive == []
    finally:
        process.stderr.close()
        process.wait()
        for region in SHARED_MEMORY.glob(f"emotalk_{process.pid}_*"):
            region.unlink()


def refused(repository, *options):
    """What a start that must fail prints."""
    process, _ = start(repository, *options)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in text
    assert len(text.strip().splitlines()) == 1, text
    return text


def test_a_taken_port_is_one_clear_error(small_repository):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = refused(small_repository, "--grpc-port", str(port))
    assert "PortInUse" in text
    assert f"127.0.0.1:{port}" in text


def test_a_folder_that_is_no_repository_is_one_clear_error(tmp_path):
    assert "InvalidRepository" in refused(tmp_path)


@pytest.fixture
def broken(small_repository, tmp_path):
    """A copy of the repository to damage."""
    return Path(shutil.copytree(small_repository, tmp_path / "repository"))


def test_a_missing_graph_is_one_clear_error(broken):
    path = broken / "wav2vec_content" / "1" / "model.onnx"
    path.unlink()
    text = refused(broken)
    assert "MissingGraph" in text
    assert str(path) in text
    with pytest.raises(MissingGraph, match=r"emotalk-export --tensorrt"), EmbeddedServer(broken, profile="tensorrt"):
        pass


@pytest.mark.parametrize("profile", ["gpu", "tensorrt"])
def test_integers_are_for_cpus(int8_repository, profile):
    with pytest.raises(UnsupportedProfile, match=rf"profile {profile}: .*accepted: --profile cpu"):
        EmbeddedServer(int8_repository, profile=profile).start()


def test_a_model_that_fails_to_load_is_named_with_the_reason(broken):
    (broken / "wav2vec_emotion" / "1" / "model.onnx").write_bytes(b"not a graph")
    text = refused(broken)
    assert "ModelFailedToLoad: wav2vec_emotion failed to load" in text
    assert "emotalk_preprocess failed" not in text


def test_a_gpu_profile_without_cuda_says_so(broken):
    with pytest.raises(ModelFailedToLoad, match=r"onnxruntime-gpu|GPU"), EmbeddedServer(broken, profile="gpu"):
        pass


def test_numpy_2_is_refused_before_anything_starts(monkeypatch, small_repository):
    monkeypatch.setattr(numpy, "__version__", "2.4.6")
    with pytest.raises(UnsuitablePython, match=r"2\.4\.6.*numpy<2"), EmbeddedServer(small_repository):
        pass


def test_no_triton_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TritonNotFound, match=r"emotalk-triton\[server\]"):
        find_triton()


def test_embedded_errors_are_typed(tmp_path, small_repository):
    with pytest.raises(InvalidRepository, match="emotalk-export"), EmbeddedServer(tmp_path):
        pass
    with (
        EmbeddedServer(small_repository) as first,
        pytest.raises(PortInUse),
        EmbeddedServer(small_repository, ports=first.process.settings.ports),
    ):
        pass


def test_a_dead_model_process_is_noticed_and_replaced(small_repository):
    """Triton goes on calling the model ready; the supervisor infers, and reloads it."""
    with EmbeddedServer(small_repository) as server:
        stub = stub_of("wav2vec_content")
        stub.kill()
        time.sleep(0.5)
        with urllib.request.urlopen(f"http://{server.http_url}/v2/health/ready") as response:
            assert response.status == 200  # what makes asking worthless
        with pytest.raises(ProbeFailed):
            server.process.probe()
        assert heal(server.process) == "wav2vec_content"
        server.process.probe()
        assert heal(server.process) is None


def test_a_triton_that_crashed_is_started_again_on_its_ports(small_repository):
    """Triton 2.51 itself may, when a gRPC client leaves in mid-request."""
    process, ports = start(small_repository)
    try:
        assert "ready" in process.stderr.readline()
        triton = next(p for p in descendants(process.pid) if "tritonserver" in p.name())
        triton.send_signal(signal.SIGSEGV)
        assert "died with status -11" in process.stderr.readline()
        assert "serves again" in process.stderr.readline()
        with EmoTalkClient(f"127.0.0.1:{ports.grpc}") as client:
            assert client.health().latency_s > 0
        process.terminate()
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


def test_clients_may_not_unload_models(small_repository, server):
    request = urllib.request.Request(
        f"http://{server.http_url}/v2/repository/models/emotalk/unload", b"{}", {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as error:
        assert error.code == 403


def test_the_dead_model_is_read_from_tritons_words():
    words = "Failed to process the request(s), message: Stub process 'wav2vec_content_0_0' is not healthy."
    assert dead_model(words) == "wav2vec_content"
    assert dead_model("Exceeds maximum queue size") is None


def test_tritons_table_of_models_is_read():
    table = """
+-------+---------+------------------------------------------------+
| Model | Version | Status                                         |
+-------+---------+------------------------------------------------+
| good  | 1       | READY                                          |
| bad   | 1       | UNAVAILABLE: Internal: ValueError: no such     |
|       |         |   thing                                        |
|       |         |                                                |
|       |         | At:                                            |
|       |         |   model.py(7): <module>                        |
+-------+---------+------------------------------------------------+
""".splitlines()
    assert load_failures(table) == {"bad": "Internal: ValueError: no such thing"}
