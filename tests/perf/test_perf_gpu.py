"""The measurement on a GPU, on this CPU: operations, tables, what does not fit, and what is not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

import seeded
from emotalk_export.checkpoint import expected_shapes
from emotalk_export.compact import CompactConfig, CompactFace
from emotalk_perf import cli
from emotalk_perf.gpu import measure as measuring
from emotalk_perf.gpu.errors import NoSuchDevice, NothingRan, TooLittleMemory
from emotalk_perf.gpu.machine import open_device, timed
from emotalk_perf.gpu.measure import SMALL, Figures, Machine, Measured, Shape, measure
from emotalk_perf.gpu.networks import (
    EMOTALK,
    SMALL_COMPACT,
    SMALL_EMOTALK,
    Bundled,
    CompactChain,
    EmoTalk,
    EmoTalkChain,
)
from emotalk_perf.gpu.report import markdown
from emotalk_perf.gpu.ways import Way, prepared, ways

pytestmark = pytest.mark.torch

PROJECT = Path(__file__).parents[2]
CPU = torch.device("cpu")
LENGTHS = [720, 8_000, 16_001, 28_000, 40_000]


def counted(module, inputs):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("make", [lambda: EmoTalk.make(SMALL_EMOTALK, CPU), lambda: Bundled.make(SMALL_COMPACT, CPU)])
def test_the_formulas_count_what_pytorch_counts(make, samples):
    network = make()
    assert counted(network.module, network.inputs(2, samples, CPU)) == 2 * network.flops(samples)


@pytest.mark.parametrize("seconds", [2.5, 25])
def test_at_the_real_size_and_on_another_device_than_the_cpu(seconds):
    """Tensors without data: nothing is computed, but one that a network makes on the CPU is an error."""
    samples, meta = round(16_000 * seconds), torch.device("meta")
    state = {key: torch.empty(shape, device=meta) for key, shape in expected_shapes(EMOTALK).items()}
    emotalk = EmoTalk(EMOTALK, EmoTalkChain(state, EMOTALK).to(meta))
    bundled = Bundled(CompactConfig(), CompactChain(CompactFace(CompactConfig())).to(meta))
    for network in (emotalk, bundled):
        inputs = [tensor.to(meta) for tensor in network.inputs(4, samples, CPU)]
        assert counted(network.module, inputs) == 4 * network.flops(samples)


def test_the_size_is_that_of_the_released_checkpoint():
    released = {key: shape for key, shape in seeded.shapes("full").items() if key in expected_shapes(EMOTALK)}
    assert released == expected_shapes(EMOTALK)


def test_every_way_gives_nearly_the_same_weights():
    network = EmoTalk.make(SMALL_EMOTALK, CPU)
    inputs = network.inputs(2, 16_000, CPU)
    exact, cast = (prepared(Way(precision), network.module, inputs)() for precision in ("tf32", "bf16 autocast"))
    assert exact.shape == (2, 30, 52)
    assert 1e-5 < (exact - cast).abs().mean() < 0.05


def test_cuda_graphs_are_for_gpus_and_what_needs_no_compiling_comes_first():
    on_gpu = ways(halves=True, cuda=True)
    assert sum(way.captured for way in on_gpu) == 2
    assert [way.compiled for way in on_gpu] == sorted(way.compiled for way in on_gpu)
    assert not any(way.captured for way in ways(halves=True, cuda=False))
    assert {way.precision for way in ways(halves=False, cuda=True)} == {"tf32", "bf16 autocast"}


def test_all_is_measured_in_small_and_float32_is_as_before():
    before = torch.get_float32_matmul_precision()
    measured = measure(CPU, SMALL, 5, lambda _: None)
    assert torch.get_float32_matmul_precision() == before
    assert set(measured.rates) == {"bf16", "fp16", "tf32"}
    assert all(rate > 0 for rate in measured.rates.values())
    for figures in measured.networks:
        assert set(figures.seconds) == {Shape(0.5, 1), Shape(0.5, 2), Shape(figures.live_s, 1)}
        for found in figures.seconds.values():
            assert list(found) == list(figures.ways)
            assert min(found.values()) > 0
        assert figures.differences[figures.ways[0]] == 0
        assert all(0 < figures.differences[way] < 0.05 for way in figures.ways[1:])
        assert figures.notes == []


@pytest.fixture
def failing(monkeypatch):
    """Let a way fail on some batches: ``failing(error, which)``."""

    def install(error, which):
        def instead(way, module, inputs):
            if which(way, len(inputs[0])):
                raise error
            return prepared(way, module, inputs)

        monkeypatch.setattr(measuring, "prepared", instead)

    return install


def test_a_batch_that_does_not_fit_is_halved_and_said(failing):
    failing(torch.OutOfMemoryError("CUDA out of memory"), lambda way, batch: batch > 2)
    plan = measuring.Plan(SMALL_EMOTALK, SMALL_COMPACT, (0.5,), (1, 8), (1,), (64,), "eager", 0.001, 1)
    for figures in measure(CPU, plan, 5, lambda _: None).networks:
        assert {shape.batch for shape in figures.seconds if shape.seconds == 0.5} == {1, 2}
        assert "8 x 0.5 s, eager, tf32: the memory is too little" in figures.notes
        assert "4 x 0.5 s, eager, tf32: the memory is too little" in figures.notes


def test_memory_that_ends_within_a_capture_is_memory_too(failing):
    error = RuntimeError("capture was invalidated")
    error.__context__ = torch.OutOfMemoryError("CUDA out of memory")
    failing(error, lambda way, batch: batch > 1)
    figures = measure(CPU, SMALL, 5, lambda _: None).networks[0]
    assert all("the memory is too little" in note for note in figures.notes)


def test_not_one_window_fits(failing):
    failing(torch.OutOfMemoryError("CUDA out of memory"), lambda way, batch: True)
    with pytest.raises(TooLittleMemory, match="of cpu is too little for one window; accepted: 8 GiB"):
        measure(CPU, SMALL, 5, lambda _: None)


def test_the_weights_do_not_fit(monkeypatch):
    def too_large(size, device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(measuring.EmoTalk, "make", too_large)
    with pytest.raises(TooLittleMemory, match="too little for the weights"):
        measure(CPU, SMALL, 5, lambda _: None)


def test_a_way_that_fails_is_left_out_and_said(failing):
    failing(RuntimeError("no C compiler\nand much more"), lambda way, batch: way.compiled)
    measured = measure(CPU, SMALL, 5, lambda _: None)
    for figures in measured.networks:
        assert figures.notes == [f"{figures.ways[-1].name}: failed (RuntimeError: no C compiler)"]
        assert all(len(found) == len(figures.ways) - 1 for found in figures.seconds.values())
    assert "- compiled, bf16 weights: failed (RuntimeError: no C compiler)" in markdown(measured)


def test_every_way_fails(failing):
    failing(RuntimeError("no kernel image"), lambda way, batch: True)
    with pytest.raises(NothingRan, match=r"on cpu: eager, tf32: failed \(RuntimeError: no kernel image"):
        measure(CPU, SMALL, 5, lambda _: None)


def test_what_has_no_time_is_said():
    measured = measure(CPU, SMALL, 0, lambda _: None)
    assert all(figures.notes == ["the time was up: what is missing was not measured"] for figures in measured.networks)
    assert "the time was up" in markdown(measured)


def test_the_tables():
    eager, graph = Way("tf32"), Way("bf16 weights", captured=True)
    figures = Figures("a network", 2.5, lambda seconds: int(seconds * 4e10), [eager, graph])
    figures.seconds = {Shape(25.0, 4): {eager: 0.4, graph: 0.02}, Shape(2.5, 8): {eager: 0.04}}
    figures.differences = {eager: 0.0, graph: 0.00123}
    machine = Machine("A card", 80 * 2**30, "570.1", "2.9, CUDA 12.8")
    text = markdown(Measured(machine, {"bf16": 8e14, "fp16": 0.0, "tf32": 4e14}, (figures,)))
    assert text.startswith("A card, 80 GiB, driver 570.1; PyTorch 2.9, CUDA 12.8; 20")
    assert "| TFLOP/s | 800 | - | 400 |" in text
    assert "A network (GFLOP a window: 100 for 2.5 s, 1000 for 25 s)" in text
    # 4 x 1e12 operations in 20 ms are 200 TFLOP/s, of 800.
    assert "| 4 x 25 s | 400 ms, 1.25 % | 20 ms, 25 % |" in text
    assert "| 8 x 2.5 s | 40 ms, 2.5 % | - |" in text
    assert "| mean difference of the weights from the first | 0.0e+00 | 1.2e-03 |" in text
    # 8 windows in 40 ms are 200 a second.
    assert "| 8 | eager, tf32 | 40 ms | 200 | 13 | 26 |" in text


def test_time_is_the_mean_of_runs_after_one_to_warm_up():
    calls = []
    assert timed(lambda: calls.append(None), CPU, 0, 3) >= 0
    assert len(calls) == 1 + 1 + 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [("tpu", "device is 'tpu'; accepted: cuda, cuda:N or cpu"), ("meta", "device is 'meta'; accepted: cuda")],
)
def test_a_device_that_is_none(name, reason):
    with pytest.raises(NoSuchDevice, match=reason):
        open_device(name)


@pytest.mark.parametrize(("name", "index"), [("cuda", 1), ("cuda:0", 0)])
def test_a_gpu_has_its_number(monkeypatch, name, index):
    """PyTorch takes no device without one everywhere."""
    chosen = []
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert open_device(name) == torch.device("cuda", index)
    assert chosen == [torch.device("cuda", index)]
    with pytest.raises(NoSuchDevice, match="'cuda:2'; accepted: cuda:0 to cuda:1"):
        open_device("cuda:2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said_in_a_line():
    said = CliRunner().invoke(cli.app, ["gpu"])
    assert isinstance(said.exception, NoSuchDevice)
    assert "accepted:" in str(said.exception)


BARE = """
import runpy, sys

class Without:
    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {absent} else self._finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
sys.argv[0] = "gpu"
runpy.run_module("emotalk_perf.gpu", run_name="__main__")
"""
OURS = {"soundfile", "soxr", "tritonclient", "typer", "onnx", "onnxruntime", "onnxscript", "grpc", "rich", "matplotlib"}


def bare(absent, *arguments):
    """The command in a Python that lacks ``absent``, on a checkout that is not installed."""
    paths = os.pathsep.join(str(PROJECT / folder) for folder in ("perf", "export", "ensemble", "client"))
    command = [sys.executable, "-c", BARE.replace("{absent}", repr(absent)), *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)


def test_nothing_but_pytorch_and_numpy_is_needed_and_the_page_is_renewed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- gpu -->\nold\n<!-- /gpu -->\nafter\n")
    said = bare(OURS, "--device", "cpu", "--small", "--page", str(page))
    assert said.returncode == 0, said.stderr
    text = page.read_text("utf-8")
    assert text.startswith("before\n<!-- gpu -->\nCPU (")
    assert text.endswith("\n<!-- /gpu -->\nafter\n")
    assert "old" not in text
    assert text.count("| streams at hops of 67 ms | streams at hops of 133 ms |") == 2
    assert "| 2 x 0.5 s |" in text


@pytest.mark.parametrize("absent", ["torch", "numpy"])
def test_a_missing_package_is_said_in_a_line(absent):
    said = bare(OURS | {absent})
    assert said.returncode == 1
    assert said.stderr == (
        f"emotalk_perf.gpu: TorchMissing: {absent} is not installed; accepted: PyTorch (with CUDA) and NumPy\n"
    )


def test_a_page_without_the_block_is_said_before_anything_is_measured(tmp_path):
    said = bare(OURS | {"torch"}, "--page", str(tmp_path / "none.md"))
    assert (said.returncode, said.stderr.count("\n")) == (1, 1)
    assert "NoSuchBlock" in said.stderr
