"""Cost of a second of speech in clips of different lengths."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.recipe import Manifest
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_perf.clips import excerpt, patient
from emotalk_perf.report import table
from emotalk_server import EmbeddedServer


def run(
    repository: Path, speech: NDArray[np.float32], lengths: Sequence[float], rounds: int, told: Callable[[str], None]
) -> list[list[float]]:
    """Seconds of every round for clips of ``lengths`` seconds, cut into windows as clients cut them, by length.

    Raises:
        ServerStartError, EmoTalkError: what could not be run.
    """
    found: list[list[float]] = [[] for _ in lengths]
    with EmbeddedServer(repository, supervised=False) as server, patient(server.grpc_url) as client:
        client.animate(speech, sample_rate=SAMPLE_RATE)
        for number in range(rounds):
            for seconds, length in zip(found, lengths, strict=True):
                told(f"{length:g} s, round {number + 1} of {rounds}")
                clip = excerpt(speech, length)
                began = time.perf_counter()
                client.animate(clip, sample_rate=SAMPLE_RATE)
                seconds.append(time.perf_counter() - began)
    return found


def markdown(repositories: Sequence[Path], lengths: Sequence[float], found: Sequence[list[list[float]]]) -> str:
    """A table of real-time factors, by repository and length."""
    rows = []
    for repository, costs in zip(repositories, found, strict=True):
        manifest = Manifest.load(repository)
        factors = [float(np.median(seconds)) / length for seconds, length in zip(costs, lengths, strict=True)]
        rows.append([f"{manifest.model}, {manifest.precision}", *(f"{factor:.3f}" for factor in factors)])
    return table(["seconds for each second of speech", *(f"{length:g} s" for length in lengths)], rows)
