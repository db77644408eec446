"""TensorRT plans: the shapes that each takes, and the command lines of NVIDIA's tools that build them.

Whoever exports a network builds its plans beside its graphs; a server may build them where it runs. A plan belongs to
the GPU model and the TensorRT version that it was built with.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from emotalk_contract.configs import axis_sizes, shape
from emotalk_contract.limits import MAX_BATCH
from emotalk_contract.recipe import Precision, Recipe, Widths
from emotalk_contract.tensors import Model
from emotalk_contract.timing import SAMPLE_RATE

PLAN_NAME = "model.plan"
GRAPH_NAME = "model.onnx"
TRTEXEC, POLYGRAPHY = "trtexec", "polygraphy"
TOOLS_FOLDER = "/usr/src/tensorrt/bin"
"""Of NVIDIA's containers, beside the PATH."""

BEST_S = 4.0
"""Seconds of the window for which a plan is the quickest."""
BATCHES = (1, 4, MAX_BATCH)
"""Smallest, best and largest batch."""


@dataclass(frozen=True, slots=True)
class ShapeProfile:
    """Smallest, best and largest shape of one input, batch axis included."""

    name: str
    smallest: tuple[int, ...]
    best: tuple[int, ...]
    largest: tuple[int, ...]


def profiles(model: Model, widths: Widths, recipe: Recipe) -> list[ShapeProfile]:
    """Return the shape profiles of ``model``'s inputs.

    From the shortest clip that the network takes, which is also what a server is probed with, to the window in which
    clients send long clips, eight at once. Speech that is sent with an emotion clip is one input with it, and both
    together are as long at most.
    """
    lengths = (recipe.min_samples, round(BEST_S * SAMPLE_RATE), round(recipe.window_s * SAMPLE_RATE))
    corners = [(batch, axis_sizes(samples, widths)) for samples, batch in zip(lengths, BATCHES, strict=True)]
    # A window within a clip lies between more emotion steps than a whole clip of its length has: one a frame, and one.
    corners[-1][1]["steps"] = corners[-1][1]["frames"] + 1
    return [
        ShapeProfile(tensor.name, *((batch, *shape(tensor, sizes)) for batch, sizes in corners))
        for tensor in model.inputs
    ]


def trtexec_command(graph: Path, plan: Path, wanted: Sequence[ShapeProfile], precision: Precision) -> list[str]:
    """Return the ``trtexec`` command that builds ``plan``."""

    def shapes(corner: Callable[[ShapeProfile], tuple[int, ...]]) -> str:
        return ",".join(f"{profile.name}:{'x'.join(map(str, corner(profile)))}" for profile in wanted)

    return [
        TRTEXEC,
        f"--onnx={graph}",
        f"--saveEngine={plan}",
        f"--minShapes={shapes(lambda p: p.smallest)}",
        f"--optShapes={shapes(lambda p: p.best)}",
        f"--maxShapes={shapes(lambda p: p.largest)}",
        # fp32 means fp32; a half-precision graph says layer by layer what is half.
        "--noTF32" if precision == "fp32" else "--stronglyTyped",
        "--skipInference",
    ]


def polygraphy_command(graph: Path, plan: Path, wanted: Sequence[ShapeProfile], precision: Precision) -> list[str]:
    """Return the ``polygraphy`` command that builds ``plan`` (TF32 is off unless asked for)."""

    def shapes(corner: Callable[[ShapeProfile], tuple[int, ...]]) -> list[str]:
        return [f"{profile.name}:[{','.join(map(str, corner(profile)))}]" for profile in wanted]

    return [
        POLYGRAPHY, "convert", str(graph), "--convert-to", "trt", "--output", str(plan),
        "--trt-min-shapes", *shapes(lambda p: p.smallest),
        "--trt-opt-shapes", *shapes(lambda p: p.best),
        "--trt-max-shapes", *shapes(lambda p: p.largest),
        *(["--strongly-typed"] if precision == "fp16" else []),
    ]  # fmt: skip


Command = Callable[[Path, Path, Sequence[ShapeProfile], Precision], list[str]]
COMMANDS: Mapping[str, Command] = MappingProxyType({TRTEXEC: trtexec_command, POLYGRAPHY: polygraphy_command})
"""Tools by the name of their program, in the order in which they are looked for."""


def tool() -> str | None:
    """Return the path of the first tool on the PATH, or where NVIDIA's containers keep it; None where none is there."""
    for name in COMMANDS:
        if found := shutil.which(name) or shutil.which(name, path=TOOLS_FOLDER):
            return found
    return None


def build_command(
    tool: str, graph: Path, plan: Path, wanted: Sequence[ShapeProfile], precision: Precision
) -> list[str]:
    """Return the command with which a ``tool`` from :func:`tool` builds ``plan`` of ``graph``."""
    return [tool, *COMMANDS[Path(tool).name](graph, plan, wanted, precision)[1:]]
