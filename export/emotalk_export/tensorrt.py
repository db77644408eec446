"""TensorRT plans of exported graphs, built by NVIDIA's own tools with explicit shape profiles.

A plan belongs to the GPU model and the TensorRT version it was built with: build it where it will run, in the Triton
container whose TensorRT will load it.
"""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

from emotalk_contract import plans
from emotalk_contract.plans import PLAN_NAME
from emotalk_contract.recipe import Precision, Recipe, Widths
from emotalk_contract.tensors import Model
from emotalk_export.errors import PlanBuildFailed, TensorRTMissing

logger = logging.getLogger(__name__)

_LOG_LINES = 12
"""Lines of a failed tool's output that an error carries."""


def find_tool() -> str:
    """The first of ``trtexec`` and ``polygraphy`` on the PATH (or where NVIDIA's containers keep it).

    Raises:
        TensorRTMissing: neither is installed.
    """
    if found := plans.tool():
        return found
    raise TensorRTMissing(
        "--tensorrt needs trtexec or polygraphy, and neither is on the PATH. trtexec comes with TensorRT and is in "
        f"NVIDIA's containers (nvcr.io/nvidia/tensorrt:YY.MM-py3, and {plans.TOOLS_FOLDER} there); polygraphy comes "
        "with `pip install polygraphy tensorrt`. Plans must be built on the kind of GPU that will serve them"
    )


def build_plan(tool: str, graph: Path, model: Model, widths: Widths, recipe: Recipe, precision: Precision) -> Path:
    """Build ``model.plan`` beside ``graph`` with ``tool`` (from :func:`find_tool`).

    Raises:
        PlanBuildFailed: the tool failed; the message has the end of what it said.
    """
    plan = graph.with_name(PLAN_NAME)
    command = plans.build_command(tool, graph, plan, plans.profiles(model, widths, recipe), precision)
    logger.info("%s: %s", model.name, " ".join(command))
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not plan.is_file():
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LOG_LINES:])
        raise PlanBuildFailed(
            f"{Path(tool).name} built no plan of {model.name} (exit status {done.returncode}). It said:\n{last}"
        )
    return plan
