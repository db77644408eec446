"""Ways to run a network: in which type its matrices are multiplied, and what is between Python and the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Precision: TypeAlias = Literal["tf32", "bf16 autocast", "bf16 weights"]
Call: TypeAlias = Callable[[], Tensor]

WARM_UPS = 3
"""Runs before a CUDA graph is captured, on a stream of their own, as PyTorch's manual has it."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a network."""

    precision: Precision
    """``tf32``: float32, of which a GPU multiplies 10 bits of mantissa; ``bf16 autocast``: PyTorch casts as it goes;
    ``bf16 weights``: the large matrices are stored so, and only activations are cast."""
    compiled: bool = False
    """True where ``torch.compile`` has made kernels of the network's parts."""
    captured: bool = False
    """True where all of it is launched as one CUDA graph."""

    @property
    def name(self) -> str:
        """Name in the tables."""
        run = [word for word, true in (("compiled", self.compiled), ("CUDA graph", self.captured)) if true]
        return f"{' + '.join(run) or 'eager'}, {self.precision}"


def ways(halves: bool, cuda: bool) -> list[Way]:
    """All ways, those first that need no compiling; CUDA graphs need a GPU, and bf16 weights layers that can."""
    best: Precision = "bf16 weights" if halves else "bf16 autocast"
    eager = [Way("tf32"), Way("bf16 autocast"), *([Way("bf16 weights")] if halves else [])]
    found = [*eager, Way(best, captured=True), Way(best, compiled=True), Way(best, compiled=True, captured=True)]
    return [way for way in found if cuda or not way.captured]


def compile_regions(regions: Sequence[nn.Module], backend: str) -> None:
    """Compile ``regions`` anew, for the one shape that comes next."""
    torch._dynamo.reset()
    for region in regions:
        region.compile(backend=backend, dynamic=False)


def prepared(way: Way, module: nn.Module, inputs: tuple[Tensor, ...]) -> Call:
    """A call that runs ``module`` on ``inputs`` in this way; its regions are compiled where ``way`` says so."""
    device = inputs[0].device

    def run() -> Tensor:
        with torch.no_grad(), _cast(way, device):
            result: Tensor = module(*inputs)
            return result

    return _captured(run) if way.captured else run


def _cast(way: Way, device: torch.device) -> AbstractContextManager[object]:
    if way.precision != "bf16 autocast":
        return nullcontext()
    # A cache of cast weights would hold tensors of a captured graph beyond its life.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def _captured(run: Call) -> Call:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run()

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay
