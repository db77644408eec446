"""LAM-A2E's networks in plain torch, any size of its two topologies.

Formulas: LAM's Audio2Expression (SIGGRAPH 2025 code, Apache-2.0) as its authors describe it; wav2vec 2.0 (arXiv
2006.11477) in its base form: group norm after the first convolution only, post-norm transformer.

Theory of operation. Each class is one graph of the contract, with that graph's inputs and outputs. The group norm of
the first convolution has as many groups as channels, and takes each channel's mean and variance over the whole clip.
The convolution is linear, so both follow from the clip's patches alone (:mod:`emotalk_contract.clip_statistics`), and
the norm becomes a part of the kernel: one product for both, and a window knows its clip. An emotion encoder is absent.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emotalk_contract.clip_statistics import PATCH, PATCH_HOP
from emotalk_contract.timing import CONV_STRIDES
from emotalk_export.checkpoint import TrunkSize
from emotalk_export.lam_checkpoint import (
    CONVOLUTIONS,
    ENCODER,
    IDENTITY,
    TRANSFORMER,
    TRANSFORMER_HEADS,
    LamSize,
)
from emotalk_export.layers import EPSILON, ChannelConvolution, Convolution, LayerNorm, Linear, State, attention, lerp
from emotalk_export.network import Embedding, scaled_query


class NormedConvolution(nn.Module):
    """The first convolution with its group norm folded in, then exact GELU.

    ``y_c = s_c w_c·(x - m) + b_c`` with ``s_c = g_c / sqrt(|Rᵀ w_c|² + 1e-5)``: the mean ``m`` and the root ``R`` of
    the covariance are the clip's. The bias is one more column of the kernel, for a patch of one: a sum apart would go
    through the largest tensor of the network once more.
    """

    weight: Tensor
    gain: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, gain: Tensor, bias: Tensor) -> None:
        """Take torch's layouts: ``weight`` [C, 1, 10], ``gain`` and ``bias`` [C]."""
        super().__init__()
        self.register_buffer("weight", weight.float().flatten(1).contiguous())
        self.register_buffer("gain", gain.float())
        self.register_buffer("bias", bias.float())
        self.time_first = False
        """Give [B, T, C]."""

    def forward(self, audio: Tensor, statistics: Tensor) -> Tensor:
        """Audio [B, samples] and CLIP_STATS [B, 110] to [B, C, T]."""
        root = statistics[:, PATCH:].reshape(-1, PATCH, PATCH)
        variance = torch.matmul(self.weight, root).square().sum(-1)
        scale = self.gain / torch.sqrt(variance + EPSILON)
        bias = torch.zeros_like(scale) + self.bias
        kernel = torch.cat([scale.unsqueeze(2) * self.weight, bias.unsqueeze(2)], 2)
        ends = [tap - PATCH + 1 or None for tap in range(PATCH)]
        patches = torch.stack([audio[:, tap:end:PATCH_HOP] for tap, end in enumerate(ends)], 1)
        centred = patches - statistics[:, :PATCH].unsqueeze(2)
        patches = torch.cat([centred, torch.ones_like(centred[:, :1])], 1)
        if self.time_first:
            return F.gelu(torch.matmul(patches.transpose(1, 2), kernel.transpose(1, 2)))
        return F.gelu(torch.matmul(kernel, patches))


class LamFrontend(nn.Module):
    """``wav2vec_frontend``: one conv stack, for one encoder."""

    def __init__(self, state: State) -> None:
        super().__init__()
        layers = [f"{ENCODER}feature_extractor.conv_layers.{i}" for i in range(len(CONV_STRIDES))]
        norm = f"{layers[0]}.layer_norm"
        self.first = NormedConvolution(
            state[f"{layers[0]}.conv.weight"], state[f"{norm}.weight"], state[f"{norm}.bias"]
        )
        weights = [state[f"{layer}.conv.weight"] for layer in layers[1:]]
        self.convolutions = nn.ModuleList(
            ChannelConvolution(weight, torch.zeros(len(weight)), stride)
            for weight, stride in zip(weights, CONV_STRIDES[1:], strict=True)
        )

    def as_products(self) -> None:
        """Compute as matrix products from now on, which integers need."""
        self.first.time_first = True
        for convolution in self.convolutions:
            convolution.as_product()  # type: ignore[operator]  # torch says Tensor | Module of a list's items

    def forward(self, audio: Tensor, statistics: Tensor) -> Tensor:
        """NETWORK_AUDIO [B, samples], STATISTICS [B, 110] to CONTENT_FEATURES [B, features, C]."""
        x: Tensor = self.first(audio, statistics)
        for convolution in self.convolutions:
            x = F.gelu(convolution(x))
        return x if self.first.time_first else x.transpose(1, 2)


class WholeClipFrontend(nn.Module):
    """:class:`LamFrontend` as its authors run it, for clips in one piece: the group norm is computed from the clip."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.layers = [f"{ENCODER}feature_extractor.conv_layers.{i}" for i in range(len(CONV_STRIDES))]
        self.state = state

    def forward(self, audio: Tensor, statistics: Tensor) -> Tensor:  # noqa: ARG002  # the graph's inputs
        """NETWORK_AUDIO [B, samples] to CONTENT_FEATURES [B, features, C]; STATISTICS are the clip's own anyway."""
        x = audio.unsqueeze(1)
        for layer, stride in zip(self.layers, CONV_STRIDES, strict=True):
            x = F.conv1d(x, self.state[f"{layer}.conv.weight"], stride=stride)
            if layer == self.layers[0]:
                gain, bias = (self.state[f"{layer}.layer_norm.{name}"] for name in ("weight", "bias"))
                x = F.group_norm(x, x.shape[1], gain, bias, EPSILON)
            x = F.gelu(x)
        return x.transpose(1, 2)


class Scale(nn.Module):
    """``x * weight``, channel by channel: what int8 puts between a norm that others read too and what it evens out."""

    weight: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] to the same."""
        return x * self.weight


class PostNormLayer(nn.Module):
    """``x = norm(x + attention(x)); x = norm(x + feed_forward(x))``, [B, F, C]; the sums in float32."""

    def __init__(self, heads: int, parts: dict[str, Linear], norms: tuple[LayerNorm, LayerNorm], relu: bool) -> None:
        """Take ``q`` (scaled), ``k``, ``v``, ``out``, ``intermediate`` and ``output``."""
        super().__init__()
        self.heads, self.relu = heads, relu
        self.q, self.k, self.v, self.out = (parts[name] for name in ("q", "k", "v", "out"))
        self.intermediate, self.output = parts["intermediate"], parts["output"]
        self.norm, self.final_norm = norms
        self.to_attention: nn.Module = nn.Identity()
        self.to_feed_forward: nn.Module = nn.Identity()

    @classmethod
    def of_wav2vec(cls, state: State, name: str, heads: int) -> PostNormLayer:
        """A layer of the audio encoder: exact GELU."""
        q = state[f"{name}.attention.q_proj.weight"], state[f"{name}.attention.q_proj.bias"]
        parts = {
            "q": scaled_query(*q, heads),
            "k": Linear.of(state, f"{name}.attention.k_proj"),
            "v": Linear.of(state, f"{name}.attention.v_proj"),
            "out": Linear.of(state, f"{name}.attention.out_proj"),
            "intermediate": Linear.of(state, f"{name}.feed_forward.intermediate_dense"),
            "output": Linear.of(state, f"{name}.feed_forward.output_dense"),
        }
        norms = LayerNorm.of(state, f"{name}.layer_norm"), LayerNorm.of(state, f"{name}.final_layer_norm")
        return cls(heads, parts, norms, relu=False)

    @classmethod
    def of_torch(cls, state: State, name: str) -> PostNormLayer:
        """A torch.nn.TransformerEncoderLayer of the identity encoder: ReLU."""
        weights = state[f"{name}.self_attn.in_proj_weight"].chunk(3)
        biases = state[f"{name}.self_attn.in_proj_bias"].chunk(3)
        parts = {
            "q": scaled_query(weights[0], biases[0], TRANSFORMER_HEADS),
            "k": Linear(weights[1], biases[1]),
            "v": Linear(weights[2], biases[2]),
            "out": Linear.of(state, f"{name}.self_attn.out_proj"),
            "intermediate": Linear.of(state, f"{name}.linear1"),
            "output": Linear.of(state, f"{name}.linear2"),
        }
        norms = LayerNorm.of(state, f"{name}.norm1"), LayerNorm.of(state, f"{name}.norm2")
        return cls(TRANSFORMER_HEADS, parts, norms, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, C] to the same."""
        y = self.to_attention(x)
        x = self.norm(x + self.out(attention(self.q(y), self.k(y), self.v(y), self.heads)).float())
        y = self.intermediate(self.to_feed_forward(x))
        y = torch.relu(y) if self.relu else F.gelu(y)
        result: Tensor = self.final_norm(x + self.output(y).float())
        return result

    def makers(self) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
        """Yield what makes channels, and all that takes them.

        A norm's channels are read by the residual sum, too: a :class:`Scale` of its own stands before the matrices.
        """
        width = self.norm.weight.shape[0]
        self.to_attention, self.to_feed_forward = Scale(width), Scale(width)
        yield self.to_attention, [self.q, self.k, self.v]
        yield self.v, [self.out]
        yield self.to_feed_forward, [self.intermediate]


class PostNormTrunk(Embedding):
    """wav2vec 2.0's feature projection and transformer in its base form: a norm before the layers and none after."""

    def __init__(self, state: State, prefix: str, size: TrunkSize, heads: int) -> None:
        super().__init__(state, prefix, size)
        self.norm = LayerNorm.of(state, f"{prefix}encoder.layer_norm")
        self.layers = nn.ModuleList(
            PostNormLayer.of_wav2vec(state, f"{prefix}encoder.layers.{i}", heads) for i in range(size.layers)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F, conv] to [B, F, hidden]."""
        x: Tensor = self.norm(self.embedded(features))
        for layer in self.layers:
            x = layer(x)
        return x

    def makers(self) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
        """Yield what makes channels, and all that takes them."""
        yield self.projection_norm, [self.projection]
        for layer in self.layers:
            yield from layer.makers()  # type: ignore[operator]  # torch says Tensor | Module of a list's items


class LamContent(nn.Module):
    """``wav2vec_content``: features are laid on the frames first, then the transformer runs at 30 fps."""

    def __init__(self, state: State, size: LamSize) -> None:
        super().__init__()
        self.trunk = PostNormTrunk(state, ENCODER, size.encoder, size.attention_heads)

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        """CONTENT_FEATURES [B, T, C], CONTENT_POSITIONS [B, F] to CONTENT [B, F, hidden]."""
        result: Tensor = self.trunk(lerp(features, positions))
        return result


class ConvolutionNorm(nn.Module):
    """``norm(conv(x))``, kernel 3 with a zero before and after, [B, F, C] to [B, F, C']."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        self.convolution = _padded(state, f"{name}.conv")
        self.norm = LayerNorm.of(state, f"{name}.norm")

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, C] to [B, F, C']."""
        result: Tensor = self.norm(self.convolution(x))
        return result


class LamDecoder(nn.Module):
    """``emotalk_decoder``: content and style to weights in 0..1, by convolutions over the frames."""

    def __init__(self, state: State, size: LamSize) -> None:
        super().__init__()
        self.projection = Linear.of(state, "feature_projection")
        style = f"{IDENTITY}id_mlp"
        self.style = Linear(state[f"{style}.weight"].squeeze(-1), state[f"{style}.bias"])
        first = f"{IDENTITY}first_net.conv_layers."
        self.residual = _padded(state, f"{first}0.residual_layer.0")
        self.identity = nn.ModuleList(ConvolutionNorm(state, f"{first}{i}") for i in range(CONVOLUTIONS))
        self.transformer = nn.ModuleList(
            PostNormLayer.of_torch(state, f"{TRANSFORMER}{i}") for i in range(size.transformer_layers)
        )
        self.decoder = nn.ModuleList(ConvolutionNorm(state, f"decoder.0.{i}") for i in range(CONVOLUTIONS))
        self.weights = Linear.of(state, "output_proj")

    def forward(self, content: Tensor, style_code: Tensor) -> Tensor:
        """CONTENT [B, F, hidden], STYLE_CODE [B, styles] to RAW_BLENDSHAPES [B, F, 52]."""
        style = self.style(style_code).float().unsqueeze(1).expand(-1, content.shape[1], -1)
        x = torch.cat([self.projection(content).float(), style], -1)
        for i, block in enumerate(self.identity):
            x = torch.relu(block(x) + (x if i else self.residual(x)))
        for layer in self.transformer:
            x = layer(x)
        for block in self.decoder:
            x = torch.relu(block(x))
        result: Tensor = torch.sigmoid(self.weights(x).float())
        return result


def _padded(state: State, name: str) -> Convolution:
    return Convolution(state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
