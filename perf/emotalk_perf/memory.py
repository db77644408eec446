"""Memory of a server over many windows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.recipe import Manifest
from emotalk_perf.clips import excerpt, in_one, patient
from emotalk_perf.process_tree import tree_bytes
from emotalk_perf.report import table
from emotalk_server import EmbeddedServer

SAMPLED_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Memory:
    """Of Triton and all its processes, in bytes."""

    ready: int
    after: tuple[int, ...]
    """By window."""
    most: int
    """At any moment that was looked at, while it computed too."""


def run(
    repository: Path, speech: NDArray[np.float32], windows: int, seconds: float, told: Callable[[str], None]
) -> Memory:
    """Send ``windows`` windows of ``seconds`` of ``speech`` [n] (repeated as needed; each from another place).

    Raises:
        ServerStartError, EmoTalkError: what could not be run.
    """
    with EmbeddedServer(repository, supervised=False) as server, patient(server.grpc_url) as client:
        pid = server.process.pid or 0
        ready, after = tree_bytes(pid), []
        with _most(pid) as most:
            for number in range(windows):
                in_one(client, excerpt(speech, seconds, from_s=number))
                after.append(tree_bytes(pid))
                told(f"window {number + 1} of {windows}: {after[-1] / 2**20:.0f} MiB")
    return Memory(ready, tuple(after), max(ready, *after, *most))


@contextmanager
def _most(pid: int) -> Iterator[list[int]]:
    """A list that gets the largest size seen, when the block ends."""
    found, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(SAMPLED_EVERY_S):
            found[0] = max(found[0], tree_bytes(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def markdown(repositories: Sequence[Path], seconds: float, measured: Sequence[Memory]) -> str:
    """A table: MiB when ready, after the 1st, 2nd, 10th, 100th … window, and at most."""
    last = len(measured[0].after)
    shown = sorted({n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n < last} | {last})
    rows = []
    for repository, memory in zip(repositories, measured, strict=True):
        manifest = Manifest.load(repository)
        sizes = [memory.ready, *(memory.after[n - 1] for n in shown), memory.most]
        rows.append([f"{manifest.model}, {manifest.precision}", *(f"{size / 2**20:.0f}" for size in sizes)])
    heads = ["when ready", *(f"after {n}" for n in shown), "at most"]
    return table([f"MiB, windows of {seconds:g} s", *heads], rows)
