"""LAM-A2E's checkpoints: the layout of its released weights, at whatever size their shapes show.

Source of every fact: the authors' published description and configuration (Apache-2.0), and the tensors' own shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_export.checkpoint import (
    CheckpointFile,
    TrunkSize,
    axis_of,
    layers_of,
    released_state,
    trunk_shapes,
    trunk_size,
)
from emotalk_export.errors import CheckpointMismatch, CheckpointNotFinite, InvalidAttentionHeads

LAYOUT = "LAM-A2E"
PREFIX = "backbone."
ENCODER = "audio_encoder."
IDENTITY = "identity_encoder."
TRANSFORMER = f"{IDENTITY}transformer_encoder.layers."
CONVOLUTIONS = 3
"""Of the identity encoder, and of the decoder."""
KERNEL = 3
"""Frames that each of these hears."""
HEAD_WIDTH = 64
"""Of wav2vec2-base: 12 heads in the released network of 768."""
TRANSFORMER_HEADS = 8
"""Heads of the identity encoder's own transformer, in the one topology that has it; no tensor shows them."""

_UNNEEDED = re.compile(
    rf"{re.escape(ENCODER)}(masked_spec_embed|lm_head\.(weight|bias))|{re.escape(IDENTITY)}grus\.\w+"
)
"""Pre-training leftovers, and a recurrent layer that is never run."""


@dataclass(frozen=True, slots=True)
class LamSize:
    """Every size of a LAM-A2E network; all but the heads are read off the checkpoint's shapes."""

    encoder: TrunkSize
    hidden: int
    """Width of the identity encoder and of the decoder (512)."""
    styles: int
    """Speaking styles (12)."""
    style_code: int
    """Width of a style's code (64)."""
    transformer_layers: int
    """Transformer layers in the identity encoder: none in the released network, 6 in the other."""
    transformer_feed_forward: int
    attention_heads: int
    """Heads of the audio encoder."""


@dataclass(frozen=True, slots=True)
class LamCheckpoint:
    """A checkpoint of LAM-A2E, checked key by key; names without ``backbone.``."""

    size: LamSize
    state: Mapping[str, Tensor] = field(repr=False)
    unneeded: tuple[str, ...]
    """Keys that no output depends on."""


def read_lam(file: CheckpointFile, attention_heads: int | None = None) -> LamCheckpoint:
    """Check ``file`` against LAM-A2E's layout at the sizes that its own shapes show.

    Args:
        file: the opened checkpoint; ``backbone.`` may be missing from its keys.
        attention_heads: heads of the audio encoder; None: as many as are 64 wide.

    Raises:
        NotACheckpoint: it holds something else than tensors.
        CheckpointMismatch: keys are missing, unexpected or misshapen; all of them are named.
        CheckpointNotFinite: a weight is NaN or infinite.
        InvalidAttentionHeads: ``attention_heads`` does not divide the encoder's width.
    """
    state = {key.removeprefix(PREFIX): value for key, value in released_state(file).items()}
    unneeded = tuple(key for key in state if _UNNEEDED.fullmatch(key))
    needed = {key: value for key, value in state.items() if key not in unneeded}
    size = _infer(needed, attention_heads)
    expected = expected_shapes(size)
    missing = [key for key in expected if key not in needed]
    unexpected = [key for key in needed if key not in expected]
    misshapen = [
        f"{key}: {tuple(needed[key].shape)}, needs {shape}"
        for key, shape in expected.items()
        if key in needed and tuple(needed[key].shape) != shape
    ]
    if missing or unexpected or misshapen:
        raise CheckpointMismatch(missing, unexpected, misshapen, LAYOUT)
    if size.attention_heads < 1 or size.encoder.hidden % size.attention_heads:
        raise InvalidAttentionHeads(
            f"attention_heads is {size.attention_heads}; accepted: a divisor of {size.encoder.hidden}, the width of "
            "the audio encoder (12 in the released network)"
        )
    if size.transformer_layers and size.hidden % TRANSFORMER_HEADS:
        raise InvalidAttentionHeads(
            f"the identity encoder's transformer is {size.hidden} wide; accepted: a multiple of its "
            f"{TRANSFORMER_HEADS} heads"
        )
    bad = [key for key, value in needed.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise CheckpointNotFinite(f"weights are NaN or infinite in {'; '.join(bad)}")
    return LamCheckpoint(size, needed, unneeded)


_RELEASED = LamSize(TrunkSize(512, 768, 12, 3072, 128, 48), 512, 12, 64, 0, 1024, 12)
"""The size taken where its tensor is missing, so that the rest can still be checked and named."""


def _infer(state: Mapping[str, Tensor], attention_heads: int | None) -> LamSize:
    def axis(key: str, dim: int, otherwise: int) -> int:
        return axis_of(state, key, dim, otherwise)

    encoder = trunk_size(state, ENCODER, _RELEASED.encoder)
    return LamSize(
        encoder=encoder,
        hidden=axis("feature_projection.weight", 0, _RELEASED.hidden),
        styles=axis(f"{IDENTITY}id_mlp.weight", 1, _RELEASED.styles),
        style_code=axis(f"{IDENTITY}id_mlp.weight", 0, _RELEASED.style_code),
        transformer_layers=layers_of(state, TRANSFORMER, 0),
        transformer_feed_forward=axis(f"{TRANSFORMER}0.linear1.weight", 0, _RELEASED.transformer_feed_forward),
        attention_heads=max(1, encoder.hidden // HEAD_WIDTH) if attention_heads is None else attention_heads,
    )


def expected_shapes(size: LamSize) -> dict[str, tuple[int, ...]]:
    """Key and shape of every tensor that a network of ``size`` needs, without ``backbone.``; ``weight_g/v``."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        shapes[f"{name}.bias"] = (outputs,)

    def convolution(name: str, inputs: int, outputs: int, kernel: int = KERNEL) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, kernel)
        shapes[f"{name}.bias"] = (outputs,)

    def norm(name: str, width: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    encoder = size.encoder
    norm(f"{ENCODER}feature_extractor.conv_layers.0.layer_norm", encoder.conv)
    shapes |= trunk_shapes(ENCODER, encoder)
    width, wide = size.hidden, size.hidden + size.style_code
    linear("feature_projection", encoder.hidden, width)
    convolution(f"{IDENTITY}id_mlp", size.styles, size.style_code, 1)
    first = f"{IDENTITY}first_net.conv_layers."
    convolution(f"{first}0.residual_layer.0", wide, width)
    for i in range(CONVOLUTIONS):
        convolution(f"{first}{i}.conv", width if i else wide, width)
        norm(f"{first}{i}.norm", width)
    for i in range(size.transformer_layers):
        layer = f"{TRANSFORMER}{i}"
        shapes[f"{layer}.self_attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{layer}.self_attn.in_proj_bias"] = (3 * width,)
        linear(f"{layer}.self_attn.out_proj", width, width)
        linear(f"{layer}.linear1", width, size.transformer_feed_forward)
        linear(f"{layer}.linear2", size.transformer_feed_forward, width)
        norm(f"{layer}.norm1", width)
        norm(f"{layer}.norm2", width)
    for i in range(CONVOLUTIONS):
        convolution(f"decoder.0.{i}.conv", width, width)
        norm(f"decoder.0.{i}.norm", width)
    linear("output_proj", width, BLENDSHAPE_COUNT)
    return shapes
