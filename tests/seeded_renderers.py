"""Seeded checkpoints of neural renderers, laid out as released ones are: batch normalisation behind the convolutions.

    python tests/seeded_renderers.py {wav2lip|unet328|ave} OUT.pth
    python tests/seeded_renderers.py goldens tests/data/renderer_goldens.json

The goldens are computed by another telling of the topology (``helpers/renderer_graphs.py``), not by our networks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emotalk_contract.renderers import MODELS
from emotalk_export.checkpoint import CheckpointFile
from emotalk_export.renderer import NETWORKS
from emotalk_export.renderer_checkpoint import fill
from emotalk_export.renderer_graphs import Conventions, examples
from emotalk_export.renderer_networks import parts

SEED = 7
PLACES = 32
"""Of a network's output, that a golden has."""
GAIN = 2.0
"""He's, for rectifiers; a residual adds as much again."""
CONVENTIONS = {"wav2lip": Conventions(), "unet328": Conventions("crop-first"), "ave": Conventions()}
"""Of the released ones."""
CONTRAST = {"wav2lip": 0.3, "unet328": 10.0}
"""Of the last layer, so that pictures are neither grey nor black and white."""


def state(name: str, seed: int = SEED) -> dict[str, torch.Tensor]:
    """A state_dict of the network ``name``, with keys of no released one."""
    generator = np.random.Generator(np.random.PCG64([seed, len(name)]))

    def normal(shape: Any, spread: float) -> torch.Tensor:
        return torch.from_numpy((generator.standard_normal(shape) * spread).astype(np.float32))

    found: dict[str, torch.Tensor] = {}
    for part, kernels in parts(NETWORKS[name]()).items():
        for i, kernel in enumerate(kernels):
            key = f"module.{part.replace(' ', '')}.{i}"
            shape = tuple(kernel.weight.shape)
            transposed = isinstance(kernel, nn.ConvTranspose2d)
            fan = kernel.in_channels // kernel.groups * kernel.kernel_size[0] * kernel.kernel_size[1]
            stride = kernel.stride[0] * kernel.stride[1] if transposed else 1
            found[f"{key}.conv.weight"] = normal(shape, float(np.sqrt(GAIN / (fan / stride))))
            if part == "colours" and i == len(kernels) - 1:  # the last has a bias of its own and nothing behind it
                found[f"{key}.conv.weight"] *= CONTRAST[name]
                found[f"{key}.conv.bias"] = normal(kernel.out_channels, 0.1)
                continue
            outputs = kernel.out_channels
            found[f"{key}.norm.weight"] = 1 + normal(outputs, 0.05)
            found[f"{key}.norm.bias"] = normal(outputs, 0.05)
            found[f"{key}.norm.running_mean"] = normal(outputs, 0.05)
            found[f"{key}.norm.running_var"] = 1.5 + normal(outputs, 0.05).abs()
            found[f"{key}.norm.num_batches_tracked"] = torch.tensor(1)
    return found


def write(name: str, path: Path) -> Path:
    """Write such a checkpoint, with what a training script keeps beside it."""
    torch.save({"state_dict": state(name), "optimizer": None, "global_step": 1}, path)
    return path


def filled(name: str) -> nn.Module:
    """The network ``name`` with its seeded weights."""
    network = NETWORKS[name]().eval()
    fill(network, CheckpointFile(Path("seeded.pth"), "", 0, state(name)), name)
    return network


def shown(output: np.ndarray) -> list[float]:
    """Values that lie evenly in a network's output [1, …]."""
    flat = output.ravel()
    return [float(value) for value in flat[np.linspace(0, flat.size - 1, PLACES).astype(int)]]


def goldens() -> dict[str, list[float]]:
    """Values of each seeded network, as the other telling computes them."""
    import onnxruntime

    from helpers import renderer_graphs

    found = {}
    for name in NETWORKS:
        folded = (kernel for part in parts(filled(name)).values() for kernel in part)
        graph = getattr(renderer_graphs, name)((k.weight.detach().numpy(), k.bias.detach().numpy()) for k in folded)
        given = [np.ascontiguousarray(array) for array in Conventions().native(examples(MODELS[name], 1))]
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [value.name for value in graph.graph.input]
        found[name] = shown(session.run(None, dict(zip(names, given, strict=True)))[0])
    return found


if __name__ == "__main__":
    if sys.argv[1] == "goldens":
        Path(sys.argv[2]).write_text(json.dumps(goldens(), indent=1) + "\n", "utf-8")
    else:
        write(sys.argv[1], Path(sys.argv[2]))
