"""The measurement as a command calls it: PyTorch is looked for first, and missed in words."""

from __future__ import annotations

from collections.abc import Callable

from emotalk_perf.gpu.errors import TorchMissing

MINUTES = 8.0
"""After so many, nothing new is begun."""


def run(device: str, small: bool, minutes: float, tell: Callable[[str], None]) -> str:
    """Measure on ``device``; the tables, in Markdown.

    Raises:
        GpuError: the subclass that says why there are none.
    """
    try:
        import numpy  # noqa: F401  # PyTorch installs without it
        import torch  # noqa: F401
    except ImportError as error:
        raise TorchMissing(f"{error.name} is not installed; accepted: PyTorch (with CUDA) and NumPy") from error
    from emotalk_perf.gpu.machine import open_device
    from emotalk_perf.gpu.measure import SMALL, Plan, measure
    from emotalk_perf.gpu.report import markdown

    return markdown(measure(open_device(device), SMALL if small else Plan(), minutes, tell))
