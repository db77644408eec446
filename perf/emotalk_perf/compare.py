"""Eager PyTorch against the served ensemble and the bare sessions, in turn, on the same speech.

Theory of operation. One round runs every way once; rounds are repeated, so that whatever else the machine does meets
all ways alike. Figures are medians, ratios are medians of each round's ratio, and the spread is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkClient
from emotalk_contract import tensors
from emotalk_contract.recipe import Manifest
from emotalk_perf.bare import BareEnsemble
from emotalk_perf.clips import excerpt, in_one, patient
from emotalk_perf.eager import EagerNetwork
from emotalk_perf.process_tree import tree_bytes
from emotalk_perf.report import table
from emotalk_server import EmbeddedServer

EAGER, SERVED, BARE = "eager PyTorch", "served", "bare sessions"
PRODUCT = (2048, 2048, 2048)
"""Size of the float32 product that tells what the machine can do."""

Run = Callable[[NDArray[np.float32]], tuple[float, NDArray[np.float32]]]
"""Speech [n] to the seconds it took and the raw weights [F, 52]."""


@dataclass(slots=True)
class Way:
    """One way to a face, at one length of speech."""

    name: str
    precision: str
    seconds: list[float] = field(default_factory=list)
    """Of every round."""
    mean_error: float = 0.0
    """Of the weights, against eager PyTorch."""
    largest_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was measured."""

    lengths: tuple[float, ...]
    """Seconds of speech."""
    ways: tuple[tuple[Way, ...], ...]
    """By length; eager PyTorch first."""
    flops: tuple[float, ...]
    """Of the network, by length."""
    flops_per_s: float
    """Most that a float32 product reached, in the same run."""
    memory: dict[str, int]
    """Bytes by way, after all lengths; eager PyTorch's at its peak."""


def run(
    checkpoint: Path,
    attention_heads: int | None,
    repositories: Sequence[Path],
    speech: NDArray[np.float32],
    lengths: Sequence[float],
    rounds: int,
    told: Callable[[str], None],
) -> Comparison:
    """Measure; ``speech`` [n] is repeated as needed. ``told`` hears what happens now.

    Raises:
        EagerFailed, ServerStartError, EmoTalkError: what could not be run.
    """
    memory: dict[str, int] = {}
    by_length, flops = [], []
    with ExitStack() as stack:
        eager = stack.enter_context(EagerNetwork(checkpoint, attention_heads))
        served = []
        runs: list[tuple[str, str, Run]] = [(EAGER, "fp32", eager.run)]
        for repository in repositories:
            precision = Manifest.load(repository).precision
            server = stack.enter_context(EmbeddedServer(repository, supervised=False))
            client = stack.enter_context(patient(server.grpc_url))
            served.append((precision, server))
            runs += [(SERVED, precision, _through(client)), (BARE, precision, _bare(BareEnsemble(repository)))]
        peak = eager.flops_per_s(*PRODUCT)
        for length in lengths:
            clip = excerpt(speech, length)
            ways = [Way(name, precision) for name, precision, _ in runs]
            for number in range(rounds + 1):  # the first one warms up
                told(f"{length:g} s, round {number} of {rounds}")
                _round(ways, [each for _, _, each in runs], clip, counts=number > 0)
            peak = max(peak, eager.flops_per_s(*PRODUCT))
            flops.append(eager.flops(clip))
            by_length.append(tuple(ways))
        memory[EAGER] = eager.peak_bytes
        for precision, server in served:
            memory[_served(precision)] = tree_bytes(server.process.pid or 0)
    return Comparison(tuple(lengths), tuple(by_length), tuple(flops), peak, memory)


def _round(ways: Sequence[Way], runs: Sequence[Run], clip: NDArray[np.float32], counts: bool) -> None:
    expected: NDArray[np.float32] | None = None
    for way, each in zip(ways, runs, strict=True):
        seconds, weights = each(clip)
        if expected is None:
            expected = weights
        if counts:
            off = np.abs(weights - expected)
            way.seconds.append(seconds)
            way.mean_error, way.largest_error = float(off.mean()), float(off.max())


def _through(client: EmoTalkClient) -> Run:
    def animate(clip: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        began = time.perf_counter()
        weights = in_one(client, clip).weights
        return time.perf_counter() - began, weights

    return animate


def _bare(ensemble: BareEnsemble) -> Run:
    def infer(clip: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        began = time.perf_counter()
        outputs = ensemble({"raw": True}, **{tensors.AUDIO.name: clip[None]})
        return time.perf_counter() - began, outputs[tensors.BLENDSHAPES.name][0]

    return infer


def speedup(way: Way, other: Way) -> float:
    """Return how many times faster ``way`` is than ``other``: the median of the rounds' ratios."""
    return float(np.median(np.array(other.seconds) / np.array(way.seconds)))


def markdown(measured: Comparison) -> str:
    """Tables: seconds with their spread and the ratio to eager PyTorch; errors; overhead; memory."""
    heads = [f"{length:g} s" for length in measured.lengths]
    shares = list(zip(measured.ways, measured.flops, strict=True))
    rows = []
    for i, way in enumerate(measured.ways[0]):
        cells = [_cell(ways[i], ways[0]) for ways in measured.ways]
        rows.append([_name(way), *cells])
    used = [
        [_name(way), *(f"{_used(ways[i], flops, measured.flops_per_s):.0f} %" for ways, flops in shares)]
        for i, way in enumerate(measured.ways[0])
        if way.precision == "fp32"
    ]
    errors = [
        [_name(way), *(f"{ways[i].mean_error:.1e} / {ways[i].largest_error:.1e}" for ways in measured.ways)]
        for i, way in enumerate(measured.ways[0])
        if i and way.name == SERVED
    ]
    overheads = []
    for i, way in enumerate(measured.ways[0]):
        if way.name == SERVED:
            pairs = [(ways[i], ways[i + 1]) for ways in measured.ways]
            overheads.append([_name(way), *(_overhead(*pair) for pair in pairs)])
    memory = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in measured.memory.items())
    return "\n\n".join(
        [
            table(["median seconds (least to most), times eager", *heads], rows),
            f"Share of the {measured.flops_per_s / 1e9:.0f} GFLOP/s that a float32 product of "
            f"{' x '.join(map(str, PRODUCT))} reached in the same run, by PyTorch or ONNX Runtime:",
            table(["", *heads], used),
            "Mean and largest difference of the weights from eager PyTorch:",
            table(["", *heads], errors),
            "What Triton and the client add to the bare sessions (median of the rounds):",
            table(["", *heads], overheads),
            f"Memory after all of it, eager PyTorch at its peak: {memory}.",
        ]
    )


def summary(measured: Comparison) -> str:
    """One table, for a page that is not about speed: times eager PyTorch, error and memory of what is served."""
    heads = [f"{length:g} s" for length in measured.lengths]
    rows = [[EAGER, *("1" for _ in heads), "", f"{measured.memory[EAGER] / 2**30:.1f} GiB at its peak"]]
    for i, way in enumerate(measured.ways[0]):
        if way.name == SERVED:
            times = [f"{speedup(ways[i], ways[0]):.2f}x" for ways in measured.ways]
            error = max(ways[i].mean_error for ways in measured.ways)
            rows.append(
                [_name(way), *times, f"{error:.1e}", f"{measured.memory[_served(way.precision)] / 2**30:.1f} GiB"]
            )
    return table(["times eager PyTorch, clips of", *heads, "mean error", "memory"], rows)


def _served(precision: str) -> str:
    """Name of a server in :attr:`Comparison.memory`."""
    return f"{SERVED} {precision}"


def _name(way: Way) -> str:
    return way.name if way.name == EAGER else f"{way.name}, {way.precision}"


def _cell(way: Way, eager: Way) -> str:
    median = float(np.median(way.seconds))
    times = "" if way is eager else f", {speedup(way, eager):.2f}x"
    return f"{median:.3g} ({min(way.seconds):.3g} to {max(way.seconds):.3g}){times}"


def _used(way: Way, flops: float, most: float) -> float:
    return 100 * flops / float(np.median(way.seconds)) / most


def _overhead(way: Way, bare: Way) -> str:
    more = float(np.median(np.array(way.seconds) - np.array(bare.seconds)))
    return f"{1000 * more:+.0f} ms, {100 * more / float(np.median(bare.seconds)):+.1f} %"
