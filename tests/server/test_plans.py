"""TensorRT plans at the first start.

NVIDIA's tools are stand-ins here, programs of these names on the PATH: the plan that they build is the graph itself,
which a backend of the name ``tensorrt`` serves. Nothing of this was run on a GPU.
"""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from emotalk_client import EmoTalkClient
from emotalk_contract import repository as repositories
from emotalk_contract.recipe import Manifest
from emotalk_server import EmbeddedServer, builder, plans
from emotalk_server.errors import (
    GpuMissing,
    MissingGraph,
    PlanBuildFailed,
    PlansUnusable,
    StartCancelled,
    TensorRTMissing,
    UnsupportedProfile,
)
from emotalk_server.installation import Triton
from emotalk_server.ports import free_ports

pytestmark = pytest.mark.server

TRTEXEC = """
if [ "$1" = --help ]; then echo "&&&& RUNNING TensorRT.trtexec [TensorRT v101300] [b35] # trtexec --help"; exit; fi
for word in "$@"; do case "$word" in
  --onnx=*) graph="${word#--onnx=}";;
  --saveEngine=*) plan="${word#--saveEngine=}";;
esac; done
echo "$graph" >> "$BUILT"
cp "$graph" "$plan"
"""
NVIDIA_SMI = 'echo "NVIDIA Stand-in, 9.0"\n'
GRAPHS = ["emotalk_decoder", "wav2vec_content", "wav2vec_emotion", "wav2vec_frontend"]


def install(folder, name, script):
    path = folder / name
    path.write_text("#!/bin/sh\n" + script, "utf-8")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder before all others on the PATH, with a builder and a GPU; ``built`` lists what was built."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join((str(folder), os.environ["PATH"])))
    monkeypatch.setenv("BUILT", str(folder / "built"))
    install(folder, "trtexec", TRTEXEC)
    install(folder, "nvidia-smi", NVIDIA_SMI)
    return folder


@pytest.fixture
def volume(tmp_path):
    return tmp_path / "volume" / "plans"


@pytest.fixture
def links(tmp_path):
    """Make folders for links, one a call."""
    return lambda: Path(tempfile.mkdtemp(prefix="links-", dir=tmp_path))


@pytest.fixture
def prepare(volume, links):
    def run(repository=None, cancelled=None):
        return plans.prepare(repository or repositories.bundled(), volume, links(), cancelled or threading.Event())

    return run


def built(tools):
    """Names of the networks that were built since the last call."""
    file = tools / "built"
    names = [Path(line).parents[1].name for line in file.read_text().split()] if file.exists() else []
    file.unlink(missing_ok=True)
    return sorted(names)


def test_plans_are_built_once_and_said_in_lines(tools, prepare, volume, caplog):
    caplog.set_level(logging.INFO)
    served = prepare()
    assert built(tools) == GRAPHS
    text = caplog.text
    assert "4 of 4 must be built for NVIDIA Stand-in, 9.0 with TensorRT 101300 b35" in text
    assert "1 of 4: " in text
    assert re.search(r"plans: 4 for NVIDIA Stand-in, 9.0 .* are ready in \S+: 4 built in \d+ s, 0 were there", text)
    caplog.clear()
    prepare()
    assert built(tools) == []
    assert "0 built in 0 s, 4 were there" in caplog.text
    assert "must be built" not in caplog.text
    for name in GRAPHS:
        assert {path.name for path in (served / name / "1").iterdir()} == {"model.onnx", "model.plan"}
        assert (served / name / "configs" / "tensorrt.pbtxt").is_file()
    assert (served / "emotalk_live" / "1" / "model.onnx").is_file()
    named = Manifest.load(served).provenance["graphs"]
    assert all(set(named[name]) == {"model.onnx", "model.plan"} for name in GRAPHS)
    assert len(list(volume.glob("*/model.plan"))) == 4


@pytest.mark.parametrize("damage", ["flipped", "cut", "facts", "gone"])
def test_a_damaged_plan_is_built_again_and_the_others_are_not(tools, prepare, volume, damage, caplog):
    prepare()
    built(tools)
    (plan,) = volume.glob("wav2vec_content-*/model.plan")
    content = plan.read_bytes()
    if damage == "flipped":
        plan.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        plan.write_bytes(content[:100])
    elif damage == "facts":
        plan.with_name("plan.json").write_text('{"key": {}')
    else:
        plan.unlink()
    prepare()
    assert built(tools) == ["wav2vec_content"]
    assert plan.read_bytes() == content
    assert f"{plan} is damaged, and is built again" in caplog.text
    assert {path.name.partition("-")[0] for path in volume.iterdir() if path.is_dir()} == set(GRAPHS)


def test_another_gpu_tensorrt_or_graph_has_plans_of_its_own(tools, prepare, tmp_path):
    prepare()
    built(tools)
    install(tools, "nvidia-smi", 'echo "NVIDIA Other, 8.9"\n')
    prepare()
    assert built(tools) == GRAPHS
    install(tools, "trtexec", TRTEXEC.replace("v101300", "v101400"))
    prepare()
    assert built(tools) == GRAPHS
    other = Path(shutil.copytree(repositories.bundled(), tmp_path / "other"))
    content = json.loads((other / "MANIFEST.json").read_text())
    content["provenance"]["graphs"]["wav2vec_emotion"]["model.onnx"]["sha256"] = "0" * 64
    (other / "MANIFEST.json").write_text(json.dumps(content))
    prepare(other)
    assert built(tools) == ["wav2vec_emotion"]
    install(tools, "nvidia-smi", NVIDIA_SMI)
    install(tools, "trtexec", TRTEXEC)
    prepare()
    assert built(tools) == []


def test_a_graph_that_the_manifest_does_not_name_is_known_by_its_bytes(tools, prepare, tmp_path):
    other = Path(shutil.copytree(repositories.bundled(), tmp_path / "other"))
    content = json.loads((other / "MANIFEST.json").read_text())
    del content["provenance"]["graphs"]
    (other / "MANIFEST.json").write_text(json.dumps(content))
    prepare(other)
    built(tools)
    graph = other / "wav2vec_content" / "1" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b" ")
    prepare(other)
    assert built(tools) == ["wav2vec_content"]


def test_a_repository_with_plans_is_served_as_it_is_and_needs_no_tool(prepare, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    other = Path(shutil.copytree(repositories.bundled(), tmp_path / "other"))
    for name in GRAPHS:
        (other / name / "1" / "model.plan").write_bytes(b"plan")
    assert prepare(other) == other


def test_without_a_tool_a_gpu_or_one_kind_of_gpu_it_is_refused_in_words(tools, prepare, volume):
    install(tools, "nvidia-smi", 'echo "NVIDIA A, 8.9"; echo "NVIDIA B, 9.0"; echo "NVIDIA A, 8.9"\n')
    with pytest.raises(GpuMissing, match=r"one kind of GPU, and here are NVIDIA A, 8.9; NVIDIA B, 9.0"):
        prepare()
    install(tools, "nvidia-smi", 'echo "No devices were found" >&2; exit 6\n')
    with pytest.raises(GpuMissing, match="names none; it said 'No devices were found"):
        prepare()
    install(tools, "trtexec", "echo 'libnvinfer.so.10: cannot open shared object file' >&2; exit 127\n")
    with pytest.raises(TensorRTMissing, match=r"does not start.*libnvinfer"):
        prepare()
    assert not volume.exists()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("[TensorRT v8601] #", "8601"),
        ("[TensorRT v100300] [b17] #", "100300 b17"),
        ("[TensorRT v11.1.0.106] [b48]", "11.1.0.106 b48"),
    ],
)
def test_versions_are_told_apart(tools, said, version):
    install(tools, "trtexec", f'echo "&&&& RUNNING TensorRT.trtexec {said} # trtexec --help"\n')
    assert builder.find() == builder.Builder(str(tools / "trtexec"), version, "NVIDIA Stand-in, 9.0")


def test_what_is_missing_is_said_at_once(monkeypatch, tmp_path, prepare):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TensorRTMissing, match=r"trtexec or polygraphy, and neither .* Accepted without: --profile gpu"):
        prepare()
    install(tmp_path, "trtexec", 'echo "[TensorRT v101300]"\n')
    with pytest.raises(GpuMissing, match=r"nvidia-smi is not here.*--gpus.*--profile cpu"):
        prepare()


def test_a_tool_that_fails_leaves_nothing_half_built(tools, prepare, volume):
    install(
        tools, "trtexec", TRTEXEC.replace("cp ", 'case "$graph" in *emotion*) echo "out of memory"; exit 1;; esac; cp ')
    )
    with pytest.raises(PlanBuildFailed, match=r"no plan of wav2vec_emotion \(exit status 1\)(.|\n)*out of memory"):
        prepare()
    assert not list(volume.glob(".new-*"))
    built(tools)
    install(tools, "trtexec", TRTEXEC)
    prepare()
    assert "wav2vec_emotion" in built(tools)


def test_a_volume_that_cannot_be_written_is_refused_in_words(tools, links, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlansUnusable, match=r"file/plans cannot hold plans \(Not a directory"):
        plans.prepare(repositories.bundled(), tmp_path / "file" / "plans", links(), threading.Event())


def test_two_servers_build_each_plan_once(tools, prepare, caplog):
    caplog.set_level(logging.INFO)
    install(tools, "trtexec", TRTEXEC.replace("cp ", "sleep 0.3; cp "))
    threads = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built(tools) == GRAPHS
    assert "another server builds" in caplog.text


def test_one_that_waits_and_one_that_builds_end_when_they_are_stopped(tools, prepare, volume, monkeypatch):
    monkeypatch.setattr(builder, "HEARTBEAT_S", 0.0)
    install(tools, "trtexec", TRTEXEC.replace("cp ", "echo $$ > $BUILT.pid; exec sleep 600; cp "))
    errors, cancelled = [], threading.Event()

    def run():
        try:
            prepare(cancelled=cancelled)
        except StartCancelled as error:
            errors.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while not (tools / "built.pid").exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(2 * plans.WAIT_S)
    cancelled.set()
    for thread in threads:
        thread.join(30)
    assert sorted(errors) == [
        "the server was stopped while a plan was built",
        "the server was stopped while another one built plans",
    ]
    assert not Path("/proc", (tools / "built.pid").read_text().strip()).exists()
    assert not list(volume.glob(".new-*"))


def test_what_a_killed_builder_left_is_removed(tools, prepare, volume):
    (volume / ".new-left").mkdir(parents=True)
    prepare()
    assert not list(volume.glob(".new-*"))


def test_the_command_that_is_stopped_while_it_builds_ends_and_leaves_nothing(tools, volume):
    install(tools, "trtexec", TRTEXEC.replace("cp ", "echo $$ > $BUILT.pid; exec sleep 600; cp "))
    command = [sys.executable, "-m", "emotalk_server.cli", "--profile", "tensorrt", "--plans", str(volume)]
    ports = free_ports("127.0.0.1")
    command += ["--health-port", "0", "--http-port", f"{ports.http}", "--grpc-port", f"{ports.grpc}"]
    command += ["--metrics-port", f"{ports.metrics}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not (tools / "built.pid").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, process.stderr.read()
    assert not list(volume.glob(".new-*"))
    assert not Path("/proc", (tools / "built.pid").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--plans", "plans"), 2, r"the profile is cpu; accepted: with --profile tensorrt"),
        (("--profile", "tensorrt", "--plans", "plans"), 1, r"emotalk-server: TensorRTMissing: .*trtexec"),
        (("--profile", "tensorrt"), 1, r"MissingGraph: .*model\.plan is missing; .*--plans DIR"),
    ],
)
def test_the_command_refuses_in_one_line(options, status, words, tmp_path):
    command = [sys.executable, "-m", "emotalk_server.cli", "--health-port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PATH": "/nowhere"})
    assert done.returncode == status
    assert re.search(words, done.stderr.strip().splitlines()[-1])
    assert not list(tmp_path.iterdir())


def test_integers_are_for_cpus_with_plans_too(int8_repository, volume):
    with pytest.raises(UnsupportedProfile), EmbeddedServer(int8_repository, profile="tensorrt", plans=volume):
        pass


def test_a_missing_graph_is_said_before_anything_is_built(tools, volume, tmp_path):
    other = Path(shutil.copytree(repositories.bundled(), tmp_path / "other"))
    (other / "emotalk_decoder" / "1" / "model.onnx").unlink()
    with pytest.raises(MissingGraph, match=r"model\.onnx"), EmbeddedServer(other, profile="tensorrt", plans=volume):
        pass
    assert not volume.exists()


@pytest.fixture
def with_backend(monkeypatch):
    """A Triton whose backend ``tensorrt`` is this project's own for ONNX: a stand-in's plan is a graph."""
    lay_out = Triton.lay_out_backends

    def with_tensorrt(self, folder):
        path = lay_out(self, folder)
        shutil.copytree(path / "onnxruntime", path / "tensorrt")
        return path

    monkeypatch.setattr(Triton, "lay_out_backends", with_tensorrt)


@pytest.fixture
def repository(tmp_path):
    """The bundled repository, whose plans run on a CPU."""
    path = Path(shutil.copytree(repositories.bundled(), tmp_path / "repository"))
    for config in path.glob("*/configs/tensorrt.pbtxt"):
        config.write_text(config.read_text().replace("KIND_GPU", "KIND_CPU"))
    return path


def test_a_real_server_serves_what_was_built_and_builds_again_what_is_damaged(
    tools, with_backend, repository, volume, speech, bundled_server
):
    with EmoTalkClient(bundled_server.grpc_url) as client:
        right = client.animate(speech[:32_000], sample_rate=16_000).weights
    with EmbeddedServer(repository, profile="tensorrt", plans=volume, supervised=False) as server:
        assert built(tools) == GRAPHS
        with EmoTalkClient(server.grpc_url) as client:
            assert np.abs(client.animate(speech[:32_000], sample_rate=16_000).weights - right).max() < 1e-6
            (plan,) = volume.glob("wav2vec_content-*/model.plan")
            plan.write_bytes(b"damaged")
            server.restart()
            assert built(tools) == ["wav2vec_content"]
            assert np.abs(client.animate(speech[:32_000], sample_rate=16_000).weights - right).max() < 1e-6
    with EmbeddedServer(repository, profile="tensorrt", plans=volume, supervised=False):
        assert built(tools) == []
