"""Times of the networks in every way and shape, and what did not fit.

Theory of operation. What needs no compiling is measured first, for both networks, and then what does, for as long as
there is time: the figures that matter most are there whatever happens. A batch for which the memory is too little is
left out and half of it tried; a way that fails is left out from then on. Both are said.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from emotalk_export.checkpoint import NetworkSize
from emotalk_export.compact import CompactConfig
from emotalk_perf.gpu.errors import GpuError, NothingRan, TooLittleMemory
from emotalk_perf.gpu.machine import (
    LEAST_RUNS,
    MATRICES,
    MEASURED_S,
    SMALL_MATRICES,
    Machine,
    describe,
    product_rates,
    release,
    tf32,
    timed,
)
from emotalk_perf.gpu.networks import (
    EMOTALK,
    SMALL_COMPACT,
    SMALL_EMOTALK,
    Bundled,
    EmoTalk,
    Network,
    in_bf16,
    samples_of,
)
from emotalk_perf.gpu.ways import Way, compile_regions, prepared, ways

logger = logging.getLogger(__name__)

Tell: TypeAlias = Callable[[str], None]

REASON_CHARACTERS = 200
"""Of what a compiler said, in a table's note."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A measurement."""

    emotalk: NetworkSize = EMOTALK
    compact: CompactConfig = field(default_factory=CompactConfig)
    seconds: tuple[float, ...] = (25.0, 40.0)
    """Of speech in a window of a file."""
    batches: tuple[int, ...] = (1, 4, 8, 16)
    """Such windows at once."""
    live_batches: tuple[int, ...] = (1, 4, 8, 16, 32)
    """Live streams' windows at once."""
    matrices: tuple[int, ...] = MATRICES
    backend: str = "inductor"
    """That of ``torch.compile``."""
    measured_s: float = MEASURED_S
    """Least time of a measurement."""
    least_runs: int = LEAST_RUNS


SMALL = Plan(SMALL_EMOTALK, SMALL_COMPACT, (0.5,), (1, 2), (1,), SMALL_MATRICES, "eager", 0.001, 1)
"""Everything but the numbers."""


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """Windows that are computed at once."""

    seconds: float
    batch: int


@dataclass(slots=True)
class Figures:
    """Measurements of one network."""

    name: str
    live_s: float
    flops: Callable[[float], int] = field(repr=False)
    """Operations of a window of so many seconds."""
    ways: Sequence[Way] = ()
    seconds: dict[Shape, dict[Way, float]] = field(default_factory=dict)
    """Of one batch; a way that is missing did not fit, failed, or came too late."""
    differences: dict[Way, float] = field(default_factory=dict)
    """Mean difference of the weights from the first way's, at most."""
    notes: list[str] = field(default_factory=list)

    def rate(self, shape: Shape, way: Way) -> float:
        """Operations a second."""
        return shape.batch * self.flops(shape.seconds) / self.seconds[shape][way]


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a device."""

    machine: Machine
    rates: dict[str, float]
    """Operations a second of large products, by type."""
    networks: tuple[Figures, ...]


def measure(device: torch.device, plan: Plan, minutes: float, tell: Tell) -> Measured:
    """Measure both networks on ``device``, within about ``minutes`` minutes.

    Raises:
        TooLittleMemory: not even one window fits.
    """
    ends = time.monotonic() + 60 * minutes
    with tf32():
        tell("large products")
        rates = product_rates(device, plan.matrices)
        release(device)
        benches = _benches(device, plan, ends, tell)
        for bench in benches:
            bench.run(compiled=False)
        if not any(bench.figures.seconds for bench in benches) and time.monotonic() < ends:
            raise _nothing(device, benches[0])
        for bench in benches:
            bench.run(compiled=True)
    return Measured(describe(device), rates, tuple(bench.figures for bench in benches))


def _benches(device: torch.device, plan: Plan, ends: float, tell: Tell) -> list[_Bench]:
    tell("the networks")
    try:
        networks: list[Network] = [EmoTalk.make(plan.emotalk, device), Bundled.make(plan.compact, device)]
        return [_Bench(network, device, plan, ends, tell) for network in networks]
    except torch.OutOfMemoryError as error:
        raise _too_little(device, "the weights") from error


def _too_little(device: torch.device, part: str) -> TooLittleMemory:
    free = f" {torch.cuda.mem_get_info(device)[0] / 2**30:.1f} GiB are free;" if device.type == "cuda" else ""
    return TooLittleMemory(
        f"the memory of {device} is too little for {part};{free} accepted: 8 GiB that nobody else uses"
    )


def _nothing(device: torch.device, bench: _Bench) -> GpuError:
    if bench.all_failed:
        return NothingRan(f"on {device}: {'; '.join(bench.figures.notes)}")
    return _too_little(device, "one window")


class _Bench:
    """One network on one device."""

    def __init__(self, network: Network, device: torch.device, plan: Plan, ends: float, tell: Tell) -> None:
        self._network, self._device, self._plan, self._ends, self._tell = network, device, plan, ends, tell
        self._modules: dict[bool, nn.Module] = {False: network.module}
        if network.halves:
            self._modules[True] = in_bf16(copy.deepcopy(network.module))
        self._failed: set[Way] = set()
        self._references: dict[Shape, Tensor] = {}
        self.figures = Figures(
            network.name,
            network.live_s,
            lambda seconds: network.flops(samples_of(seconds)),
            ways(network.halves, device.type == "cuda"),
        )

    @property
    def all_failed(self) -> bool:
        """True where no way is left that needs no compiling."""
        return all(way in self._failed for way in self.figures.ways if not way.compiled)

    def run(self, *, compiled: bool) -> None:
        """Measure every shape, in the ways that are compiled, or in the others."""
        chosen = [way for way in self.figures.ways if way.compiled == compiled]
        shapes = list(self.figures.seconds) if compiled else self._shapes()
        tried: set[Shape] = set()
        while shapes:
            shape = shapes.pop(0)
            tried.add(shape)
            if not self._measure(shape, chosen):
                self._note("the time was up: what is missing was not measured")
                break
            smaller = Shape(shape.seconds, shape.batch // 2)
            if not self.figures.seconds.get(shape) and smaller.batch and smaller not in {*shapes, *tried}:
                shapes.insert(0, smaller)

    def _shapes(self) -> list[Shape]:
        files = [Shape(seconds, batch) for seconds in self._plan.seconds for batch in self._plan.batches]
        return [Shape(self._network.live_s, batch) for batch in self._plan.live_batches] + files

    def _measure(self, shape: Shape, chosen: Sequence[Way]) -> bool:
        """False: the time was up before the end."""
        fresh = True
        for way in chosen:
            if way in self._failed:
                continue
            if time.monotonic() > self._ends:
                return False
            self._tell(f"{self._network.name}: {shape.batch} x {shape.seconds:g} s, {way.name}")
            module = self._modules[way.precision == "bf16 weights"]
            try:
                if way.compiled and fresh:
                    compile_regions(self._network.regions(module), self._plan.backend)
                    fresh = False
                seconds = self._timed(shape, way, module)
                self.figures.seconds.setdefault(shape, {})[way] = seconds
            except RuntimeError as error:  # torch's own, memory and compilers included
                self._missed(shape, way, error)
            release(self._device)
        return True

    def _missed(self, shape: Shape, way: Way, error: RuntimeError) -> None:
        # A capture that ends for lack of memory raises once more, about itself.
        if isinstance(error, torch.OutOfMemoryError) or isinstance(error.__context__, torch.OutOfMemoryError):
            self._note(f"{shape.batch} x {shape.seconds:g} s, {way.name}: the memory is too little")
            return
        self._failed.add(way)
        logger.debug("%s failed", way.name, exc_info=error)
        reason = (str(error).strip().splitlines() or [""])[0]
        self._note(f"{way.name}: failed ({type(error).__name__}: {reason[:REASON_CHARACTERS]})")

    def _timed(self, shape: Shape, way: Way, module: nn.Module) -> float:
        inputs = self._network.inputs(shape.batch, samples_of(shape.seconds), self._device)
        call = prepared(way, module, inputs)
        output = call().float()
        reference = self._references.setdefault(shape, output.clone())
        difference = float((output - reference).abs().mean())
        self.figures.differences[way] = max(difference, self.figures.differences.get(way, 0.0))
        return timed(call, self._device, self._plan.measured_s, self._plan.least_runs)

    def _note(self, text: str) -> None:
        if text not in self.figures.notes:
            self.figures.notes.append(text)
