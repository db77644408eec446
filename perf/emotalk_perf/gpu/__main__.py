"""``python -m emotalk_perf.gpu``: the same as ``emotalk-perf gpu``, where nothing but PyTorch is installed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TextIO

from emotalk_perf.gpu.command import MINUTES, run
from emotalk_perf.gpu.errors import GpuError
from emotalk_perf.report import NoSuchBlock, check, renew


def main() -> int:
    """Run the command; a mistake is one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m emotalk_perf.gpu", description="Measure the networks on a GPU.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="everything but the numbers, in seconds")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="begin nothing new after (default: %(default)s)")
    parser.add_argument("--page", type=Path, help="renew a block of this Markdown page instead of printing")
    parser.add_argument("--block", default="gpu", help="name of that block (default: %(default)s)")
    asked = parser.parse_args()
    try:
        if asked.page is not None:
            check(asked.page, asked.block)
        text = run(asked.device, asked.small, asked.minutes, lambda said: _write(sys.stderr, said))
    except (GpuError, NoSuchBlock) as error:
        _write(sys.stderr, f"emotalk_perf.gpu: {type(error).__name__}: {error}")
        return 1
    if asked.page is None:
        _write(sys.stdout, text)
    else:
        renew(asked.page, asked.block, text)
    return 0


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
