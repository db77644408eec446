"""The device: its name, its memory, the rate at which it multiplies matrices, and its clock."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from emotalk_contract.quoting import quoted
from emotalk_perf.gpu.errors import NoSuchDevice
from emotalk_perf.gpu.flops import product

MATRICES = (4096, 8192, 16384)
"""Rows, columns and inner size of the products by which a GPU is judged; the best one counts."""
SMALL_MATRICES = (256,)
MEASURED_S = 0.5
"""Least time of a measurement."""
LEAST_RUNS = 5
MOST_RUNS = 2_000

_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class Machine:
    """A device as the tables name it."""

    name: str
    memory_bytes: int
    """0: not known (a CPU)."""
    driver: str
    """Empty: there is none (a CPU)."""
    torch: str


def open_device(name: str) -> torch.device:
    """The device called ``name``, such as ``cuda``, ``cuda:1`` or ``cpu``.

    Raises:
        NoSuchDevice: PyTorch cannot use it.
    """
    accepted = "accepted: cuda, cuda:N or cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise NoSuchDevice(f"device is {quoted(name)}; {accepted}") from None
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise NoSuchDevice(f"device is {quoted(name)}; {accepted}")
    if torch.version.cuda is None:
        raise NoSuchDevice(f"PyTorch {torch.__version__} was built without CUDA; accepted: with it, or --device cpu")
    if not torch.cuda.is_available():
        raise NoSuchDevice("PyTorch finds no GPU or no driver for it; accepted: a machine with both, or --device cpu")
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise NoSuchDevice(f"device is {quoted(name)}; accepted: cuda:0 to cuda:{torch.cuda.device_count() - 1}")
    if device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    torch.cuda.set_device(device)
    return device


def describe(device: torch.device) -> Machine:
    """The device's name, memory and driver."""
    if device.type == "cpu":
        processor = f"CPU ({platform.machine()}, {len(os.sched_getaffinity(0))} cores)"
        return Machine(processor, 0, "", torch.__version__)
    properties = torch.cuda.get_device_properties(device)
    version = f"{torch.__version__}, CUDA {torch.version.cuda}"
    return Machine(properties.name, properties.total_memory, _driver(), version)


def _driver() -> str:
    """The version of NVIDIA's kernel module."""
    text = _DRIVER.read_text("utf-8", "replace") if _DRIVER.is_file() else ""
    found = re.search(r"Kernel Module\D*?(\d+(?:\.\d+)+)", text)
    return found[1] if found else "unknown"


@contextmanager
def tf32() -> Iterator[None]:
    """Multiply float32 on tensor cores within; PyTorch's own default is not to."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def product_rates(device: torch.device, sizes: tuple[int, ...]) -> dict[str, float]:
    """Operations a second of square products in bf16, fp16 and tf32 (within :func:`tf32`), the best of ``sizes`` each.

    The rate that the chip reaches, not the one of its data sheet: clocks fall under load. A size for which the memory
    is too little is left out.
    """
    types = {"bf16": torch.bfloat16, "fp16": torch.float16, "tf32": torch.float32}
    rates = dict.fromkeys(types, 0.0)
    for size in sizes:
        for name, dtype in types.items():
            try:
                a, b = (torch.randn((size, size), device=device).to(dtype) for _ in range(2))
                out = torch.empty_like(a)
                seconds = timed(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device)  # type: ignore[misc]
            except torch.OutOfMemoryError:
                continue
            rates[name] = max(rates[name], product(size, size, size) / seconds)
    return rates


def timed(
    call: Callable[[], object], device: torch.device, least_s: float = MEASURED_S, least_runs: int = LEAST_RUNS
) -> float:
    """Mean seconds of ``call``, over ``least_s`` seconds and ``least_runs`` runs at least, after one to warm up.

    Runs are launched one after the other, and the device's own clock says when the first began and the last ended.
    """
    call()
    once = _elapsed(call, device, 1)
    runs = min(max(least_runs, round(least_s / max(once, 1e-6))), MOST_RUNS)
    return _elapsed(call, device, runs) / runs


def _elapsed(call: Callable[[], object], device: torch.device, runs: int) -> float:
    if device.type == "cpu":
        began = time.perf_counter()
        for _ in range(runs):
            call()
        return time.perf_counter() - began
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    first.record()
    for _ in range(runs):
        call()
    last.record()
    torch.cuda.synchronize(device)
    return float(first.elapsed_time(last)) / 1000


def release(device: torch.device) -> None:
    """Give back what PyTorch keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
