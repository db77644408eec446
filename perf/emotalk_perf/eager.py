"""The eager PyTorch network in a process of its own, which this package only talks to: see ``emotalk_export.eager``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client import EmoTalkError


class EagerFailed(EmoTalkError):
    """The process with the eager network ended: no such checkpoint, not enough memory, no PyTorch."""


class EagerNetwork:
    """Weights of ``checkpoint``; used with ``with``.

    Raises:
        EagerFailed: by whatever is asked of it.
    """

    def __init__(self, checkpoint: Path, attention_heads: int | None = None) -> None:
        command = [sys.executable, "-m", "emotalk_export.eager", str(checkpoint)]
        command += [] if attention_heads is None else [str(attention_heads)]
        self._folder = tempfile.TemporaryDirectory(prefix="emotalk-eager-")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.peak_bytes = 0
        """Most memory that the process has used so far."""

    def __enter__(self) -> EagerNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def run(self, audio: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """Seconds that it took, and the raw weights [F, 52]."""
        output = Path(self._folder.name, "weights.npy")
        answer = self._ask({"audio": self._saved(audio), "output": str(output)})
        self.peak_bytes = answer["peak_bytes"]
        return answer["seconds"], np.load(output)

    def flops(self, audio: NDArray[np.float32]) -> float:
        """Floating-point operations of ``audio``."""
        return float(self._ask({"flops": self._saved(audio)})["flops"])

    def flops_per_s(self, rows: int, inner: int, columns: int) -> float:
        """The most that a float32 product of this size reaches on this machine."""
        return float(self._ask({"gemm": [rows, inner, columns]})["flops_per_s"])

    def _saved(self, audio: NDArray[np.float32]) -> str:
        path = Path(self._folder.name, "audio.npy")
        np.save(path, audio)
        return str(path)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        line = ""
        if self._process.stdin is not None and self._process.stdout is not None:
            try:
                self._process.stdin.write(json.dumps(question) + "\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
            except BrokenPipeError:
                pass
        if not line:
            raise EagerFailed(f"the eager network ended with status {self._process.wait()}; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer
