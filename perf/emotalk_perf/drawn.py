"""Processor time of a picture that a neural renderer draws: what one core could draw, however busy this machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_contract import renderers as facts
from emotalk_contract.tensors import Model
from emotalk_perf.process_tree import cpu_s, tree
from emotalk_perf.report import table
from emotalk_server import EmbeddedServer

WARM_UP = 2
"""Requests that are not counted."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one model."""

    name: str
    at_once: int
    """Requests on their way together."""
    cpu_s: float
    """Seconds of processor time an item, of Triton and all its processes."""


def run(renderers: Path, items: int, at_once: int, told: Callable[[str], None]) -> list[Cost]:
    """Return what an item of each model in the folder ``renderers`` costs, one by one and ``at_once`` together.

    Raises:
        ServerStartError, EmoTalkError: what could not be run.
    """
    found = []
    served = facts.load_manifest(renderers)
    with EmbeddedServer(renderers=renderers, supervised=False) as server:
        pid = server.process.pid
        assert pid is not None  # noqa: S101  # it runs
        for model in (facts.MODELS[name] for name in served):
            for together in (1, at_once):
                told(f"{model.name}, {together} at once")
                found.append(
                    Cost(model.name, together, asyncio.run(_cost(server.grpc_url, pid, model, items, together)))
                )
    return found


async def _cost(url: str, pid: int, model: Model, items: int, at_once: int) -> float:
    generator = np.random.default_rng(0)
    inputs: dict[str, NDArray[np.float32]] = {
        tensor.name: generator.uniform(0, 1, (1, *map(int, tensor.axes))).astype(np.float32) for tensor in model.inputs
    }
    room = asyncio.Semaphore(at_once)
    async with AsyncEmoTalkClient(url) as client:

        async def ask() -> None:
            async with room:
                await client.infer(model, inputs)

        await asyncio.gather(*(ask() for _ in range(WARM_UP)))
        began = _cpu(pid)
        await asyncio.gather(*(ask() for _ in range(items)))
        return (_cpu(pid) - began) / items


def _cpu(pid: int) -> float:
    return sum(map(cpu_s, tree(pid)))


def markdown(costs: list[Cost]) -> str:
    """A table of processor time, and of what one core could draw in a second."""
    rows = []
    for one in costs:
        rate = 1 / max(one.cpu_s, 1e-6)
        rows.append([f"`{one.name}`", str(one.at_once), f"{1e3 * one.cpu_s:.1f}", f"{rate:.0f}"])
    return table(["model", "at once", "ms of processor time", "a second on one core"], rows)
