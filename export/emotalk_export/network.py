"""EmoTalk's four networks in plain torch, any size of the same topology.

Formulas: "EmoTalk: Speech-Driven Emotional Disentanglement for 3D Face Animation" (ICCV 2023, arXiv 2303.11089);
wav2vec 2.0 (arXiv 2006.11477) in its large, "stable layer norm" form; ALiBi (arXiv 2108.12409) made periodic as in
FaceFormer (arXiv 2112.05329).

Theory of operation. Each class is one graph of :data:`emotalk_contract.tensors.GRAPHS`, with that graph's
inputs and outputs. What is linear and fixed is folded when the weights are read, in float64:

- the position convolution's weight norm;
- 1/sqrt(head width) into the query projections;
- the decoder's cross-attention: its mask leaves each frame only itself, so it is ``out_proj(v_proj(memory))``, and the
  memory is itself a linear map of the emotion: one matrix from the emotion encoder's width;
- ``map_emo2(map_emo(emotion))``: likewise one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emotalk_contract.timing import CONV_STRIDES, FPS
from emotalk_export.checkpoint import (
    CLASSIFIER_PREFIX,
    CONTENT_PREFIX,
    DECODER_PREFIX,
    EMOTION_PREFIX,
    NetworkSize,
    TrunkSize,
)
from emotalk_export.layers import Convolution, LayerNorm, Linear, State, attention, lerp

DECODER_HEADS = 4
ALIBI_PERIOD = FPS
"""Frames (1 s) over which the decoder's distance penalty stays the same."""
MASKED = -1e9
"""Added to the score of a frame that must not be seen: exp() of it is 0, and no infinity enters the graph."""


class ConvStack(nn.Module):
    """wav2vec 2.0's convolutional frontend: 7 x [convolution, layer norm over channels, exact GELU].

    [B, samples] to [B, features, C] at 50 Hz.
    """

    def __init__(self, state: State, prefix: str) -> None:
        super().__init__()
        layers = [f"{prefix}feature_extractor.conv_layers.{i}" for i in range(len(CONV_STRIDES))]
        self.convolutions = nn.ModuleList(
            Convolution(state[f"{layer}.conv.weight"], state[f"{layer}.conv.bias"], stride)
            for layer, stride in zip(layers, CONV_STRIDES, strict=True)
        )
        self.norms = nn.ModuleList(LayerNorm.of(state, f"{layer}.layer_norm") for layer in layers)

    def forward(self, audio: Tensor) -> Tensor:
        """Normalised audio [B, samples] to features [B, T, C]."""
        x = audio.unsqueeze(-1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.gelu(norm(convolution(x)))
        return x


class Frontend(nn.Module):
    """``wav2vec_frontend``: both encoders' conv stacks; one of them serves both where they are identical."""

    def __init__(self, state: State, identical: bool) -> None:
        super().__init__()
        self.content = ConvStack(state, CONTENT_PREFIX)
        self.emotion = None if identical else ConvStack(state, EMOTION_PREFIX)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """NETWORK_AUDIO [B, samples], normalised, to CONTENT_FEATURES and EMOTION_FEATURES [B, features, C]."""
        content = self.content(audio)
        # A graph's outputs must be two values, not two names of one.
        return content, content.clone() if self.emotion is None else self.emotion(audio)


class TransformerLayer(nn.Module):
    """``x += attention(norm(x)); x += feed_forward(norm(x))``, [B, F, hidden]; the sums in float32."""

    def __init__(self, state: State, name: str, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = LayerNorm.of(state, f"{name}.layer_norm")
        self.q = scaled_query(state[f"{name}.attention.q_proj.weight"], state[f"{name}.attention.q_proj.bias"], heads)
        self.k = Linear.of(state, f"{name}.attention.k_proj")
        self.v = Linear.of(state, f"{name}.attention.v_proj")
        self.out = Linear.of(state, f"{name}.attention.out_proj")
        self.final_norm = LayerNorm.of(state, f"{name}.final_layer_norm")
        self.intermediate = Linear.of(state, f"{name}.feed_forward.intermediate_dense")
        self.output = Linear.of(state, f"{name}.feed_forward.output_dense")

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, hidden] to the same."""
        y = self.norm(x)
        x = x + self.out(attention(self.q(y), self.k(y), self.v(y), self.heads)).float()
        result: Tensor = x + self.output(F.gelu(self.intermediate(self.final_norm(x)))).float()
        return result

    def makers(self) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
        """Yield what makes channels, and all that takes them."""
        yield self.norm, [self.q, self.k, self.v]
        yield self.v, [self.out]
        yield self.final_norm, [self.intermediate]


class Embedding(nn.Module):
    """wav2vec 2.0 before its transformer: ``y = project(norm(x)); y + gelu(position convolution(y))``.

    Features [B, F, conv] to [B, F, hidden], any frame rate.
    """

    def __init__(self, state: State, prefix: str, size: TrunkSize) -> None:
        super().__init__()
        self.projection_norm = LayerNorm.of(state, f"{prefix}feature_projection.layer_norm")
        self.projection = Linear.of(state, f"{prefix}feature_projection.projection")
        self.position = Convolution(
            normed_weight(
                state[f"{prefix}encoder.pos_conv_embed.conv.weight_g"],
                state[f"{prefix}encoder.pos_conv_embed.conv.weight_v"],
            ),
            state[f"{prefix}encoder.pos_conv_embed.conv.bias"],
            padding=size.position_kernel // 2,
            groups=size.hidden // size.position_group,
        )
        # An even kernel padded by half of it on both sides gives one output too many: the last is dropped.
        self.surplus = 1 - size.position_kernel % 2

    def embedded(self, features: Tensor) -> Tensor:
        """Features [B, F, conv] to [B, F, hidden]."""
        x = self.projection(self.projection_norm(features)).float()
        position = self.position(x)
        if self.surplus:
            position = position[:, : -self.surplus]
        result: Tensor = x + F.gelu(position)
        return result


class Trunk(Embedding):
    """wav2vec 2.0's feature projection and transformer in its "stable layer norm" form, any frame rate."""

    def __init__(self, state: State, prefix: str, size: TrunkSize, heads: int) -> None:
        super().__init__(state, prefix, size)
        self.layers = nn.ModuleList(
            TransformerLayer(state, f"{prefix}encoder.layers.{i}", heads) for i in range(size.layers)
        )
        self.norm = LayerNorm.of(state, f"{prefix}encoder.layer_norm")

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F, conv] to [B, F, hidden]."""
        x = self.embedded(features)
        for layer in self.layers:
            x = layer(x)
        result: Tensor = self.norm(x)
        return result

    def makers(self) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
        """Yield what makes channels, and all that takes them: one may divide by what the others multiply with."""
        yield self.projection_norm, [self.projection]
        for layer in self.layers:
            yield from layer.makers()  # type: ignore[operator]  # torch says Tensor | Module of a list's items


class Content(nn.Module):
    """``wav2vec_content``: what is said. Features are laid on the frames first, then the transformer runs at 30 fps."""

    def __init__(self, state: State, size: NetworkSize) -> None:
        super().__init__()
        self.trunk = Trunk(state, CONTENT_PREFIX, size.content, size.attention_heads)

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        """CONTENT_FEATURES [B, T, C], CONTENT_POSITIONS [B, F] to CONTENT [B, F, hidden]."""
        result: Tensor = self.trunk(lerp(features, positions))
        return result


class Classifier(nn.Module):
    """The emotion that is heard: ``softmax(out_proj(tanh(dense(mean over frames))))``, wav2vec 2.0's usual head."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.dense = Linear.of(state, f"{CLASSIFIER_PREFIX}dense")
        self.out = Linear.of(state, f"{CLASSIFIER_PREFIX}out_proj")

    def forward(self, emotion: Tensor) -> Tensor:
        """EMOTION [B, F, hidden] to EMOTIONS [B, emotions], probabilities."""
        hidden = torch.tanh(self.dense(emotion.mean(1)).float())
        return torch.softmax(self.out(hidden).float(), -1)


class Emotion(nn.Module):
    """``wav2vec_emotion``: how it is said. The transformer runs on its own time axis, which is then laid on frames.

    ``classified``: with the classifier, for a checkpoint that has one.
    """

    def __init__(self, state: State, size: NetworkSize, classified: bool = False) -> None:
        super().__init__()
        self.trunk = Trunk(state, EMOTION_PREFIX, size.emotion, size.attention_heads)
        self.classifier = Classifier(state) if classified else None

    def forward(self, features: Tensor, positions: Tensor, frame_positions: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """EMOTION_FEATURES [B, T, C], its positions [B, E] and [B, F] to EMOTION [B, F, hidden].

        With a classifier, EMOTIONS [B, emotions] too.
        """
        emotion = lerp(self.trunk(lerp(features, positions)), frame_positions)
        return emotion if self.classifier is None else (emotion, self.classifier(emotion))


class Decoder(nn.Module):
    """``emotalk_decoder``: content, emotion, level and person to raw weights; one post-norm, causal decoder layer."""

    slopes: Tensor

    def __init__(self, state: State) -> None:
        super().__init__()
        layer = DECODER_PREFIX
        to_memory = _matrix(state, "audio_feature_map_emo")
        self.content_map = Linear.of(state, "audio_feature_map_cont")
        self.emotion_map = _folded(to_memory, _matrix(state, "audio_feature_map_emo2"))
        self.level_map = Linear.of(state, "obj_vector_level")
        self.person_map = Linear.of(state, "obj_vector_person")
        weights = state[f"{layer}self_attn.in_proj_weight"].chunk(3)
        biases = state[f"{layer}self_attn.in_proj_bias"].chunk(3)
        self.q = scaled_query(weights[0], biases[0], DECODER_HEADS)
        self.k, self.v = Linear(weights[1], biases[1]), Linear(weights[2], biases[2])
        self.out = Linear.of(state, f"{layer}self_attn.out_proj")
        value = (
            state[f"{layer}multihead_attn.in_proj_weight"].chunk(3)[2].double(),
            state[f"{layer}multihead_attn.in_proj_bias"].chunk(3)[2].double(),
        )
        self.cross = _folded(to_memory, value, _matrix(state, f"{layer}multihead_attn.out_proj"))
        self.linear1 = Linear.of(state, f"{layer}linear1")
        self.linear2 = Linear.of(state, f"{layer}linear2")
        self.norm1, self.norm2, self.norm3 = (LayerNorm.of(state, f"{layer}norm{i}") for i in (1, 2, 3))
        self.weights = Linear.of(state, "bs_map_r")
        slopes = [2.0 ** (-8 * (head + 1) / DECODER_HEADS) for head in range(DECODER_HEADS)]
        self.register_buffer("slopes", torch.tensor(slopes).reshape(DECODER_HEADS, 1, 1))

    def attention_bias(self, frames: int) -> Tensor:
        """[heads, F, F]: ``-slope floor((i - j) / 30)`` where j <= i, masked elsewhere.

        ALiBi's slopes for four heads: 1/4, 1/16, 1/64, 1/256.
        """
        frame = torch.arange(frames, dtype=torch.float32, device=self.slopes.device)
        distance = frame.unsqueeze(1) - frame.unsqueeze(0)
        seen = -self.slopes * torch.floor(distance / ALIBI_PERIOD)
        return torch.where(distance >= 0, seen, MASKED)

    def forward(self, content: Tensor, emotion: Tensor, level_code: Tensor, style_code: Tensor) -> Tensor:
        """CONTENT, EMOTION [B, F, hidden], LEVEL_CODE [B, 2], STYLE_CODE [B, 24] to RAW_BLENDSHAPES [B, F, 52]."""
        frames = content.shape[1]
        mapped = [self.content_map(content).float(), torch.relu(self.emotion_map(emotion)).float()]
        codes = torch.cat([self.level_map(level_code), self.person_map(style_code)], -1).float()
        x = torch.cat([*mapped, codes.unsqueeze(1).expand(-1, frames, -1)], -1)
        bias = self.attention_bias(frames)
        attended = self.out(attention(self.q(x), self.k(x), self.v(x), DECODER_HEADS, bias)).float()
        x = self.norm1(x + attended)
        x = self.norm2(x + self.cross(emotion).float())
        x = self.norm3(x + self.linear2(torch.relu(self.linear1(x))).float())
        result: Tensor = self.weights(x).float()
        return result


def _matrix(state: State, name: str) -> tuple[Tensor, Tensor]:
    return state[f"{name}.weight"].double(), state[f"{name}.bias"].double()


def _folded(*maps: tuple[Tensor, Tensor]) -> Linear:
    """One layer for ``maps`` (float64 weight [out, in] and bias, the first applied first)."""
    weight, bias = maps[0]
    for next_weight, next_bias in maps[1:]:
        weight, bias = next_weight @ weight, next_weight @ bias + next_bias
    return Linear(weight, bias)


def scaled_query(weight: Tensor, bias: Tensor, heads: int) -> Linear:
    """A query projection with 1/sqrt(head width) in it, as :func:`emotalk_export.layers.attention` wants it."""
    scale = 1 / math.sqrt(weight.shape[0] // heads)
    return Linear(weight.double() * scale, bias.double() * scale)


def normed_weight(g: Tensor, v: Tensor) -> Tensor:
    """Weight norm over all axes but the last: ``g v / |v|``."""
    wide = v.double()
    return g.double() * wide / wide.pow(2).sum(dim=(0, 1), keepdim=True).sqrt()
