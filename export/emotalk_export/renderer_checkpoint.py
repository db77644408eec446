"""A renderer's checkpoint, whatever its keys are called: read by order and shape.

Theory of operation. A state_dict keeps its layers in the order in which the network was built. So it is read as a list
of convolutions, each with the bias and the batch normalisation that stand behind it, and the normalisation is folded
in. The parts of our network are then laid over that list, in any order of the parts, so that every convolution is used
once; within a part, order and shapes must be the same. Keys only show in messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emotalk_contract.quoting import quoted
from emotalk_export.checkpoint import CheckpointFile, unwrapped
from emotalk_export.errors import CheckpointNotFinite, NotACheckpoint, RendererMismatch
from emotalk_export.renderer_networks import parts

NORMALISATION_EPSILON = 1e-5
"""torch's own; a state_dict does not tell it."""
_COUNTER = "num_batches_tracked"
_NORMALISATION = ("weight", "bias", "running_mean", "running_var")


@dataclass(slots=True)
class Layer:
    """A convolution of a checkpoint."""

    key: str
    """Of its kernel."""
    kernel: Tensor
    bias: Tensor | None
    normalisation: dict[str, Tensor]
    """Empty, or with the four names that batch normalisation has."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the kernel."""
        return tuple(self.kernel.shape)

    def folded(self, *, transposed: bool) -> tuple[Tensor, Tensor]:
        """Return kernel and bias with the normalisation in them; a transposed kernel has its outputs second."""
        kernel = self.kernel.double()
        outputs = kernel.shape[1 if transposed else 0]
        bias = torch.zeros(outputs, dtype=torch.float64) if self.bias is None else self.bias.double()
        if self.normalisation:
            weight, shift, mean, variance = (self.normalisation[name].double() for name in _NORMALISATION)
            gain = weight / torch.sqrt(variance + NORMALISATION_EPSILON)
            kernel = kernel * gain.view((1, -1, 1, 1) if transposed else (-1, 1, 1, 1))
            bias = (bias - mean) * gain + shift
        return kernel.float(), bias.float()


def layers(file: CheckpointFile) -> list[Layer]:
    """Return the convolutions of ``file``, in its order.

    Raises:
        NotACheckpoint: it holds something that belongs to no convolution.
        CheckpointNotFinite: a weight is NaN or infinite.
    """
    found: list[Layer] = []
    for key, value in unwrapped(file.content).items():
        name = str(key)
        leaf = name.rpartition(".")[2]
        if leaf == _COUNTER:
            continue
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise NotACheckpoint(
                f"{file.path}: {quoted(name)} is a {type(value).__name__}; accepted: tensors of floats"
            )
        if not bool(torch.isfinite(value).all()):
            raise CheckpointNotFinite(f"{file.path}: weights are NaN or infinite in {quoted(name)}")
        last = found[-1] if found else None
        if value.dim() == 4 and leaf == "weight":
            found.append(Layer(name, value, None, {}))
        elif last is not None and value.dim() == 1 and name == f"{last.key.removesuffix('weight')}bias":
            last.bias = value
        elif last is not None and value.dim() == 1 and leaf in _NORMALISATION and leaf not in last.normalisation:
            last.normalisation[leaf] = value
        else:
            raise NotACheckpoint(
                f"{file.path}: {quoted(name)} of shape {list(value.shape)} belongs to no convolution; accepted: "
                "convolutions, each with the batch normalisation that follows it"
            )
    return found


def fill(network: nn.Module, file: CheckpointFile, name: str) -> None:
    """Put the weights of ``file`` into ``network``, which messages call ``name``.

    Raises:
        RendererMismatch: they are those of another network.
        NotACheckpoint, CheckpointNotFinite: see :func:`layers`.
    """
    found = layers(file)
    ours = parts(network)
    order = _cover([layer.shape for layer in found], {part: [_shape(k) for k in ks] for part, ks in ours.items()})
    if isinstance(order, int):
        needed = sum(len(part) for part in ours.values())
        seen = f"{quoted(found[order].key)} of shape {list(found[order].shape)}" if order < len(found) else "the end"
        raise RendererMismatch(
            f"{file.path} has {len(found)} convolutions with {_millions(layer.kernel for layer in found)} million "
            f"weights, and {seen} fits nothing of {name}; accepted: the {needed} convolutions with "
            f"{_millions(kernel.weight for part in ours.values() for kernel in part)} million weights of {name}"
        )
    kernels = [kernel for part in order for kernel in ours[part]]
    with torch.no_grad():
        for layer, kernel in zip(found, kernels, strict=True):
            transposed = isinstance(kernel, nn.ConvTranspose2d)
            _check(layer, kernel.out_channels, file, name)
            weight, bias = layer.folded(transposed=transposed)
            kernel.weight.copy_(weight)
            assert kernel.bias is not None  # noqa: S101  # ours all have one
            kernel.bias.copy_(bias)


def _check(layer: Layer, outputs: int, file: CheckpointFile, name: str) -> None:
    missing = [leaf for leaf in _NORMALISATION if leaf not in layer.normalisation]
    vectors = [*layer.normalisation.values(), *([] if layer.bias is None else [layer.bias])]
    if (layer.normalisation and missing) or any(len(vector) != outputs for vector in vectors):
        raise RendererMismatch(
            f"{file.path}: what stands behind {quoted(layer.key)} does not normalise its {outputs} channels; accepted: "
            f"the released layout of {name}"
        )


def _shape(kernel: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, ...]:
    return tuple(kernel.weight.shape)


def _cover(found: Sequence[tuple[int, ...]], ours: dict[str, list[tuple[int, ...]]]) -> list[str] | int:
    """Return the names of ``ours`` in the order in which they make up ``found``; an int: how far it fits at most."""
    furthest = 0

    def follow(at: int, left: tuple[str, ...]) -> list[str] | None:
        nonlocal furthest
        if not left:
            furthest = max(furthest, at)
            return [] if at == len(found) else None
        for part in left:
            shapes = ours[part]
            fits = 0
            while fits < len(shapes) and at + fits < len(found) and shapes[fits] == found[at + fits]:
                fits += 1
            furthest = max(furthest, at + fits)
            if fits == len(shapes):
                rest = follow(at + fits, tuple(other for other in left if other != part))
                if rest is not None:
                    return [part, *rest]
        return None

    order = follow(0, tuple(ours))
    return furthest if order is None else order


def _millions(tensors: Iterable[Tensor]) -> str:
    return f"{sum(tensor.numel() for tensor in tensors) / 1e6:.2f}"
