"""The layers of which the networks are made, written so that their ONNX graphs are lean and can run in half precision.

Theory of operation. Every layer that holds a large matrix computes in the type of that matrix and casts what it is
given; everything else (norms, softmax, residual sums, positions) stays in float32. So :mod:`emotalk_export.precision`
only has to change the type of some layers' weights, and a graph's inputs and outputs are float32 either way.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5
"""Of every layer norm (wav2vec 2.0's and torch's default)."""

State = Mapping[str, Tensor]


class Half(nn.Module):
    """A layer whose ``weight`` and ``bias`` may be stored and computed in half precision."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())

    def halve(self) -> None:
        """Compute in float16 from now on."""
        self.weight, self.bias = self.weight.half(), self.bias.half()


class Linear(Half):
    """``x @ weight + bias``: [..., in] to [..., out]."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Takes torch's layout, ``weight`` [out, in].

        It is kept as [in, out]: a matrix product as it stands, with nothing to transpose when a graph is loaded.
        """
        super().__init__(weight.float().T.contiguous(), bias)

    @classmethod
    def of(cls, state: State, name: str) -> Linear:
        """The layer called ``name`` in ``state``."""
        return cls(state[f"{name}.weight"], state[f"{name}.bias"])

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out], in the type of the weights."""
        return torch.matmul(x.to(self.weight.dtype), self.weight) + self.bias


class Convolution(Half):
    """A convolution over time: [B, T, C] to [B, T', C']."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int = 1, padding: int = 0, groups: int = 1) -> None:
        super().__init__(weight, bias)
        self.stride, self.padding, self.groups = stride, padding, groups
        self.biased = True

    def as_product(self) -> None:
        """Compute as one matrix product from now on: the kernel's taps side by side, times [kernel * C, C'].

        As fast as a convolution in float32, and what integers need. Only without padding and groups.
        """
        if self.padding or self.groups != 1:
            raise ValueError(f"padding is {self.padding}, groups are {self.groups}; accepted: 0 and 1")
        self.kernel = self.weight.shape[2]
        self.weight = self.weight.permute(2, 1, 0).flatten(0, 1).contiguous()
        self.biased = bool(self.bias.any())

    def taps(self, x: Tensor) -> Tensor:
        """[B, T, C] to what each output of the product form is made of, [B, T', kernel * C]."""
        # The last tap ends with x, each other one as many places before: constants, whatever T is.
        ends = [tap - self.kernel + 1 or None for tap in range(self.kernel)]
        return torch.cat([x[:, tap : end : self.stride] for tap, end in enumerate(ends)], -1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] to [B, T', C'], computed in the type of the weights, given back as float32."""
        if self.weight.dim() == 2:
            product = torch.matmul(self.taps(x), self.weight)
            return product + self.bias if self.biased else product
        # Casts come before transpositions: torch.export cannot follow one of a transposed tensor of unknown length.
        x = x.to(self.weight.dtype).transpose(1, 2)
        y = F.conv1d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        return y.float().transpose(1, 2)


class ChannelConvolution(Convolution):
    """The same for channels first, [B, C, T] to [B, C', T'], for convolutions that follow each other without norms.

    As a product it takes and gives [B, T, C] as any other.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] to [B, C', T'], computed in the type of the weights, given back as float32."""
        if self.weight.dim() == 2:
            return super().forward(x)
        x = x.to(self.weight.dtype)
        return F.conv1d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups).float()


class LayerNorm(nn.Module):
    """Layer norm over the last axis, in and out float32 whatever comes in."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())

    @classmethod
    def of(cls, state: State, name: str) -> LayerNorm:
        """The layer called ``name`` in ``state``."""
        return cls(state[f"{name}.weight"], state[f"{name}.bias"])

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] to the same, float32."""
        return F.layer_norm(x.float(), self.weight.shape, self.weight, self.bias, EPSILON)


def lerp(sequence: Tensor, positions: Tensor) -> Tensor:
    """``sequence`` [B, T, C] at fractional ``positions`` [B, F], all in 0..T-1: [B, F, C], linear between neighbours.

    ``(1 - w) sequence[floor(p)] + w sequence[ceil(p)]`` with w = p - floor(p): torch's own linear interpolation, at
    positions that somebody else decides. (ceil: at a whole position, the last one too, w is 0 and nothing beyond it is
    looked up, so that the graph need not know T.)
    """
    below = torch.floor(positions)
    weight = (positions - below).unsqueeze(-1)
    return (1 - weight) * _rows(sequence, below) + weight * _rows(sequence, torch.ceil(positions))


def _rows(sequence: Tensor, index: Tensor) -> Tensor:
    return torch.gather(sequence, 1, index.to(torch.int64).unsqueeze(-1).expand(-1, -1, sequence.shape[2]))


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """``softmax(q kᵀ + bias) v`` head by head: [B, F, C] each to [B, F, C].

    ``q`` comes with the 1 / sqrt(C / heads) in it; ``bias`` is [heads, F, F].
    """

    def split(x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)

    scores = torch.matmul(split(q), split(k).transpose(2, 3)).float()
    if bias is not None:
        scores = scores + bias
    weights = torch.softmax(scores, dim=-1).to(v.dtype)
    return torch.matmul(weights, split(v)).transpose(1, 2).flatten(2)
