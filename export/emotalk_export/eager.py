"""The network in eager PyTorch, as its authors run it, in a process of its own: what a served one is compared with.

    python -m emotalk_export.eager CHECKPOINT [ATTENTION_HEADS]

Answers every line on standard input with one on standard output, both JSON:

- ``{"audio": "in.npy", "output": "out.npy"}``: samples [n] at 16 kHz in, raw weights [F, 52] out, of person 0 (at
  level 1 where there are levels); answered by ``{"seconds": …, "peak_bytes": …}``, of this process so far.
- ``{"flops": "in.npy"}``: ``{"flops": …}`` of the same.
- ``{"gemm": [m, k, n]}``: ``{"flops_per_s": …}``, the fastest of some float32 products of that size, by PyTorch or by
  ONNX Runtime (on some processors the one has better kernels, on some the other).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from torch.utils.flop_counter import FlopCounterMode

from emotalk_contract import tensors
from emotalk_contract.pipeline import pipeline
from emotalk_contract.timing import Window
from emotalk_export.checkpoint import open_checkpoint
from emotalk_export.errors import CheckpointError
from emotalk_export.face import EmoTalkFace, LamFace, Layout, open_face, told_apart
from emotalk_export.lam import WholeClipFrontend
from emotalk_export.network import Frontend
from emotalk_export.onnx_export import OPSET
from emotalk_export.validate import clip_inputs

PRODUCTS = 10
"""Repetitions of a product; the fastest tells what the machine can do."""


class Eager:
    """The modules of a face one after the other, with nothing shared or folded that its authors do not."""

    def __init__(self, face: EmoTalkFace | LamFace) -> None:
        self._recipe = face.recipe
        self._modules = {model: face.graph(model) for model in pipeline(face.recipe).graphs}
        frontend = next(iter(self._modules))
        if isinstance(face, EmoTalkFace):
            self._modules[frontend] = Frontend(face.checkpoint.state, identical=False)
        else:
            self._modules[frontend] = WholeClipFrontend(face.checkpoint.state)

    def __call__(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw weights [F, 52] of ``audio`` [n]."""
        window = Window.whole(len(audio))
        given = clip_inputs(audio[None], window, self._recipe, np.ones((1, 1)), np.eye(1, self._recipe.styles))
        known = {name: torch.from_numpy(array) for name, array in given.items()}
        with torch.inference_mode():
            for model, module in self._modules.items():
                outputs = module(*(known[tensor.name] for tensor in model.inputs))
                outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
                known |= {tensor.name: output for tensor, output in zip(model.outputs, outputs, strict=True)}
        raw: NDArray[np.float32] = known[tensors.RAW_BLENDSHAPES.name][0].numpy()
        return raw


def answer(network: Eager, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one line."""
    if "gemm" in asked:
        return {"flops_per_s": _gemm(*asked["gemm"])}
    if "flops" in asked:
        with FlopCounterMode(display=False) as counter:
            network(np.load(asked["flops"]))
        return {"flops": counter.get_total_flops()}
    audio = np.load(asked["audio"])
    began = time.perf_counter()
    weights = network(audio)
    seconds = time.perf_counter() - began
    np.save(asked["output"], weights)
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _gemm(rows: int, inner: int, columns: int) -> float:
    a, b = torch.rand(rows, inner), torch.rand(inner, columns)
    session = InferenceSession(_product(b.numpy()).SerializeToString(), providers=["CPUExecutionProvider"])
    given = {"a": a.numpy()}
    ways: list[Callable[[], object]] = [lambda: torch.mm(a, b), lambda: session.run(None, given)]
    fastest = float("inf")
    for _ in range(PRODUCTS):
        for way in ways:
            began = time.perf_counter()
            way()
            fastest = min(fastest, time.perf_counter() - began)
    return 2 * rows * inner * columns / fastest


def _product(b: NDArray[np.float32]) -> onnx.ModelProto:
    """A graph with the product of ``a`` and the constant ``b``, as weights are: packed when it is loaded."""
    shapes: dict[str, Sequence[str | int]] = {"a": ["rows", len(b)], "product": ["rows", b.shape[1]]}
    a, product = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    node = helper.make_node("MatMul", ["a", "b"], ["product"])
    graph = helper.make_graph([node], "product", [a], [product], [numpy_helper.from_array(b, "b")])
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=helper.find_min_ir_version_for([opset]))


def main() -> None:
    """Answer until there is nothing more."""
    checkpoint = Path(sys.argv[1])
    heads = int(sys.argv[2]) if len(sys.argv) > 2 else None
    try:
        layout: Layout = "lam" if told_apart(open_checkpoint(checkpoint)) == "lam" else "emotalk"
        face = open_face(checkpoint, heads, layout)
    except CheckpointError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    if not isinstance(face, (EmoTalkFace, LamFace)):
        sys.exit(f"{checkpoint} is not a checkpoint in a released layout")
    network = Eager(face)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(network, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
