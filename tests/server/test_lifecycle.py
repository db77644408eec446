"""Starting, stopping and staying up: `emotalk-server` as a person runs it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy
import psutil
import pytest
from serving import launch, left_behind, served

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

pytestmark = pytest.mark.server

HANG_S = 120.0


def descendants(pid):
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_one_line_says_when_and_where_and_a_signal_stops_all_of_it(small_repository, tmp_path, stop):
    with served(small_repository, tmp_path) as (process, ports, line):
        for port in (ports.http, ports.grpc, ports.metrics):
            assert f"127.0.0.1:{port}" in line
        with urllib.request.urlopen(f"http://127.0.0.1:{ports.metrics}/metrics") as response:
            assert b"nv_inference_request_success" in response.read()
        family = descendants(process.pid)
        assert len(family) > len(tensors.STEPS)
        process.send_signal(stop)
        assert process.wait(HANG_S) == 0
        said = process.stderr.read().splitlines()
        assert [line for line in said if "Exit timeout expired" not in line] == []  # Triton, on a busy machine
        _, alive = psutil.wait_procs(family, timeout=HANG_S)
        assert alive == []
    assert left_behind(tmp_path) == []


def test_a_server_ends_with_the_program_that_embeds_it(small_repository, tmp_path):
    """Even when that program is killed and can clean up nothing."""
    with served(small_repository, tmp_path) as (process, _, _):
        family = descendants(process.pid)
        process.kill()
        _, alive = psutil.wait_procs(family, timeout=HANG_S)
        assert alive == []
    assert left_behind(tmp_path) == []


SIGNALLED_WHILE_IT_LOGS = """
import logging, os, signal, sys
from emotalk_server import cli

class Signals(logging.StreamHandler):
    def flush(self):
        super().flush()
        os.kill(os.getpid(), signal.SIGTERM)

logging.basicConfig = lambda **_: None
logging.getLogger("emotalk_server").addHandler(Signals())
logging.getLogger("emotalk_server").setLevel(logging.INFO)
EXTRA
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "extra", ["", "cli._Stopped = type('_Stopped', (Exception,), {})"], ids=["raised", "swallowed by the log"]
)
def test_a_signal_while_the_ready_line_is_written_stops_it(small_repository, tmp_path, extra):
    """That line is what a program waits for which then sends the signal."""
    program = SIGNALLED_WHILE_IT_LOGS.replace("EXTRA", extra)
    ports = free_ports()
    options = ["--repository", str(small_repository), "--health-port", "0", "--http-port", str(ports.http)]
    options += ["--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program, *options], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            _, said = process.communicate(timeout=HANG_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert "emotalk is ready" in said
    assert process.returncode == 0
    assert left_behind(tmp_path) == []


def refused(repository, *options):
    """What a start that must fail prints."""
    process, _ = launch(repository, options=options)
    _, text = process.communicate(timeout=HANG_S)
    assert process.returncode == 1
    assert "Traceback" not in text
    *before, last = text.strip().splitlines()
    assert all("is served unchecked" in line for line in before), text
    return last


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
    manifest = json.loads((broken / "MANIFEST.json").read_text())
    del manifest["provenance"]["graphs"]  # or the checksum would tell first
    (broken / "MANIFEST.json").write_text(json.dumps(manifest))
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
