"""TensorRT plans of exported graphs, built by NVIDIA's own tools with explicit shape profiles.

A plan belongs to the GPU model and the TensorRT version it was built with: build it where it will run, in the Triton
container whose TensorRT will load it.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotalk_contract.configs import TENSORRT_BATCHES, TENSORRT_SECONDS, axis_sizes, shape
from emotalk_contract.recipe import Precision, Widths
from emotalk_contract.tensors import Model
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_export.errors import PlanBuildFailed, TensorRTMissing

logger = logging.getLogger(__name__)

PLAN_NAME = "model.plan"

_LOG_LINES = 12
"""Lines of a failed tool's output that an error carries."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Smallest, best and largest shape of one input, batch axis included."""

    name: str
    smallest: tuple[int, ...]
    best: tuple[int, ...]
    largest: tuple[int, ...]


def profiles(model: Model, widths: Widths) -> list[Profile]:
    """The shape profiles of ``model``'s inputs, from the contract's window lengths and batch sizes."""
    corners = []
    for seconds, batch in zip(TENSORRT_SECONDS, TENSORRT_BATCHES, strict=True):
        sizes = axis_sizes(round(seconds * SAMPLE_RATE), widths)
        corners.append((batch, sizes))
    # A window within a clip lies between more emotion steps than a whole clip of its length has: one a frame, and one.
    corners[-1][1]["steps"] = corners[-1][1]["frames"] + 1
    return [
        Profile(tensor.name, *((batch, *shape(tensor, sizes)) for batch, sizes in corners)) for tensor in model.inputs
    ]


def trtexec_command(graph: Path, plan: Path, wanted: Sequence[Profile], precision: Precision) -> list[str]:
    """Return the ``trtexec`` command that builds ``plan``."""

    def shapes(corner: Callable[[Profile], tuple[int, ...]]) -> str:
        return ",".join(f"{profile.name}:{'x'.join(map(str, corner(profile)))}" for profile in wanted)

    return [
        "trtexec",
        f"--onnx={graph}",
        f"--saveEngine={plan}",
        f"--minShapes={shapes(lambda p: p.smallest)}",
        f"--optShapes={shapes(lambda p: p.best)}",
        f"--maxShapes={shapes(lambda p: p.largest)}",
        # fp32 means fp32; a half-precision graph says layer by layer what is half.
        "--noTF32" if precision == "fp32" else "--stronglyTyped",
        "--skipInference",
    ]


def polygraphy_command(graph: Path, plan: Path, wanted: Sequence[Profile], precision: Precision) -> list[str]:
    """Return the ``polygraphy`` command that builds ``plan`` (TF32 is off unless asked for)."""

    def shapes(corner: Callable[[Profile], tuple[int, ...]]) -> list[str]:
        return [f"{profile.name}:[{','.join(map(str, corner(profile)))}]" for profile in wanted]

    return [
        "polygraphy", "convert", str(graph), "--convert-to", "trt", "--output", str(plan),
        "--trt-min-shapes", *shapes(lambda p: p.smallest),
        "--trt-opt-shapes", *shapes(lambda p: p.best),
        "--trt-max-shapes", *shapes(lambda p: p.largest),
        *(["--strongly-typed"] if precision == "fp16" else []),
    ]  # fmt: skip


_TOOLS = {"trtexec": trtexec_command, "polygraphy": polygraphy_command}


def find_tool() -> str:
    """The first of ``trtexec`` and ``polygraphy`` on the PATH (or where NVIDIA's containers keep it).

    Raises:
        TensorRTMissing: neither is installed.
    """
    for name in _TOOLS:
        if found := shutil.which(name) or shutil.which(name, path="/usr/src/tensorrt/bin"):
            return found
    raise TensorRTMissing(
        "--tensorrt needs trtexec or polygraphy, and neither is on the PATH. trtexec comes with TensorRT and is in "
        "NVIDIA's containers (nvcr.io/nvidia/tensorrt:YY.MM-py3, and /usr/src/tensorrt/bin there); polygraphy comes "
        "with `pip install polygraphy tensorrt`. Plans must be built on the kind of GPU that will serve them"
    )


def build_plan(tool: str, graph: Path, model: Model, widths: Widths, precision: Precision) -> Path:
    """Build ``model.plan`` beside ``graph`` with ``tool`` (from :func:`find_tool`).

    Raises:
        PlanBuildFailed: the tool failed; the message has the end of what it said.
    """
    plan = graph.with_name(PLAN_NAME)
    command = _TOOLS[Path(tool).name](graph, plan, profiles(model, widths), precision)
    logger.info("%s: %s", model.name, " ".join(command))
    done = subprocess.run([tool, *command[1:]], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not plan.is_file():
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LOG_LINES:])
        raise PlanBuildFailed(
            f"{Path(tool).name} built no plan of {model.name} (exit status {done.returncode}). It said:\n{last}"
        )
    return plan
