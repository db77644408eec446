"""Half precision where it is harmless.

The large matrices of :mod:`emotalk_export.layers` go to float16; norms, softmax, residual sums, positions and the
graphs' own inputs and outputs stay float32. A layer whose numbers come near float16's largest stays whole, too: which
ones is measured on the clips with which the export proves itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from emotalk_export.layers import Half

LARGEST = torch.finfo(torch.float16).max
"""65504."""
HEADROOM = 8.0
"""Other voices than the measured ones may be this much louder within the network."""


def halve(module: nn.Module, inputs: Iterable[tuple[Tensor, ...]]) -> tuple[str, ...]:
    """Turn the matrices of ``module`` to float16 in place; the names of the layers that stay float32.

    A layer stays when, for any of ``inputs`` (the module's own, float32), it takes or gives a number above
    65504 / 8, or has such a weight.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, Half)}
    largest = {
        name: max(float(layer.weight.abs().max()), float(layer.bias.abs().max())) for name, layer in layers.items()
    }
    hooks = []
    for name, layer in layers.items():

        def record(_: nn.Module, taken: tuple[Tensor, ...], given: Tensor, name: str = name) -> None:
            largest[name] = max(largest[name], float(taken[0].abs().max()), float(given.abs().max()))

        hooks.append(layer.register_forward_hook(record))
    try:
        with torch.inference_mode():
            for arguments in inputs:
                module(*arguments)
    finally:
        for hook in hooks:
            hook.remove()
    kept = tuple(name for name in layers if largest[name] > LARGEST / HEADROOM)
    for name, layer in layers.items():
        if name not in kept:
            layer.halve()
    return kept
