"""Grounds for the CPU profile's session settings: other settings of the same networks, in turn, in one run.

Theory of operation. Every alternative is a copy of the model repository (links to the same graphs) whose configs differ
in the named settings. All are served at the same time, each by a Triton of its own, and asked in turn, so that whatever
else the machine does meets all alike.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from emotalk_client import EmoTalkClient
from emotalk_contract.pipeline import pipeline
from emotalk_contract.recipe import SHARE_PARAMETER, Manifest
from emotalk_perf.clips import excerpt, in_one, patient
from emotalk_perf.process_tree import tree_bytes
from emotalk_perf.report import table
from emotalk_server import EmbeddedServer

AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Alternative:
    """Differences from the contract's config in every network."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    instances: int = 1


CHOSEN = "as in the contract"
ALTERNATIVES: Mapping[str, Alternative] = MappingProxyType(
    {
        CHOSEN: Alternative(),
        "every encoder all cores": Alternative({SHARE_PARAMETER: "1"}),
        "arena": Alternative({"enable_mem_arena": "1"}),
        "spinning": Alternative({"session.intra_op.allow_spinning": "1"}),
        "1 thread": Alternative({"intra_op_thread_count": "1"}),
        "1 thread, 2 instances": Alternative({"intra_op_thread_count": "1"}, instances=2),
        "2 instances": Alternative(instances=2),
    }
)


@dataclass(slots=True)
class Figures:
    """Of one alternative."""

    alone: list[list[float]] = field(default_factory=list)
    """Seconds of a request alone, by length of speech and round."""
    at_once: list[list[float]] = field(default_factory=list)
    """Seconds in which `AT_ONCE` requests at once were answered, by length and round."""
    ready_bytes: int = 0
    """Memory before the first request."""
    bytes: int = 0
    """Memory after the last one."""


def run(
    repository: Path,
    names: Sequence[str],
    speech: NDArray[np.float32],
    lengths: Sequence[float],
    rounds: int,
    told: Callable[[str], None],
) -> dict[str, Figures]:
    """Measure the `ALTERNATIVES` with ``names``; ``speech`` [n] is repeated as needed. ``told`` hears what happens now.

    Raises:
        ServerStartError, EmoTalkError: what could not be run.
    """
    found = {name: Figures([[] for _ in lengths], [[] for _ in lengths]) for name in names}
    with ExitStack() as stack:
        served = {}
        for name in names:
            told(f"starting: {name}")
            folder = stack.enter_context(alternative(repository, ALTERNATIVES[name]))
            server = stack.enter_context(EmbeddedServer(folder, supervised=False))
            served[name] = server, stack.enter_context(patient(server.grpc_url))
            found[name].ready_bytes = tree_bytes(server.process.pid or 0)
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        for i, length in enumerate(lengths):
            clips = [excerpt(speech, length, from_s=k) for k in range(AT_ONCE)]
            for number in range(rounds + 1):  # the first one warms up
                told(f"{length:g} s, round {number} of {rounds}")
                for name, (_, client) in served.items():
                    alone, together = _seconds(client, clips[:1], pool), _seconds(client, clips, pool)
                    if number:
                        found[name].alone[i].append(alone)
                        found[name].at_once[i].append(together)
        for name, (server, _) in served.items():
            found[name].bytes = tree_bytes(server.process.pid or 0)
    return found


@contextmanager
def alternative(repository: Path, wanted: Alternative) -> Iterator[Path]:
    """The folder of a repository like ``repository`` whose networks are configured as ``wanted``, for the moment."""
    with tempfile.TemporaryDirectory(prefix="emotalk-settings-") as name:
        folder = Path(name, "repository")
        shutil.copytree(repository, folder, copy_function=_link)
        for model in pipeline(Manifest.load(folder).recipe).graphs:
            path = folder / model.name / "config.pbtxt"
            config = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
            for key, value in wanted.parameters.items():
                config.parameters[key].string_value = value
            config.instance_group[0].count = wanted.instances
            path.unlink()
            path.write_text(text_format.MessageToString(config), "utf-8")
        yield folder


def _link(source: str, target: str) -> None:
    Path(target).symlink_to(Path(source).resolve())


def _seconds(client: EmoTalkClient, clips: Sequence[NDArray[np.float32]], pool: ThreadPoolExecutor) -> float:
    began = time.perf_counter()
    list(pool.map(partial(in_one, client), clips))
    return time.perf_counter() - began


def markdown(repository: Path, lengths: Sequence[float], found: Mapping[str, Figures]) -> str:
    """A table: times the first alternative's speed, what two requests at once bring, memory."""
    first = next(iter(found.values()))
    heads = [f"{length:g} s: speed, {AT_ONCE} at once" for length in lengths]
    rows = []
    for name, figures in found.items():
        cells = [
            f"{_ratio(first.alone[i], figures.alone[i]):.2f}x, {_throughput(figures, i):.2f}x"
            for i in range(len(lengths))
        ]
        rows.append([name, *cells, f"{figures.ready_bytes / 2**20:.0f}", f"{figures.bytes / 2**20:.0f}"])
    manifest = Manifest.load(repository)
    return table([f"{manifest.model}, {manifest.precision}", *heads, "MiB when ready", "MiB after"], rows)


def _throughput(figures: Figures, i: int) -> float:
    """Of `AT_ONCE` requests at once, against one after the other in the same settings."""
    return AT_ONCE * _ratio(figures.alone[i], figures.at_once[i])


def _ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    return float(np.median(np.array(numerator) / np.array(denominator)))
