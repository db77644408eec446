"""LAM-A2E once more, by torch's own modules and straight from a state_dict: what the exported network is compared with.

Nothing is folded, split or shared with the export: the group norm is torch's over the whole clip, resampling is torch's
interpolation, attention torch's own function.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from emotalk_contract.timing import frame_count

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Of a recorded output through a server; the right network is a hundredth of it away."""
Ask = Callable[..., NDArray[np.float32]]
"""Raw weights [B, F, 52] for the ensemble's inputs."""
State = dict[str, torch.Tensor]
GOLDEN = re.compile(r"(?P<clip>(voice|quiet)_(?P<samples>\d+)|gap)__style(?P<style>\d+)")


def weights(state: State, audio: NDArray[np.float32], style: int, frames: int, heads: int) -> NDArray[np.float32]:
    """Weights [F, 52] of a clip [n], by the layers as LAM's description has them; keys with ``backbone.``."""
    s = {key.removeprefix("backbone."): value for key, value in state.items()}
    with torch.inference_mode():
        x = torch.from_numpy(audio)[None, None]
        for i, stride in enumerate((5, 2, 2, 2, 2, 2, 2)):
            layer = f"audio_encoder.feature_extractor.conv_layers.{i}"
            x = F.conv1d(x, s[f"{layer}.conv.weight"], stride=stride)
            if not i:
                x = F.group_norm(x, x.shape[1], s[f"{layer}.layer_norm.weight"], s[f"{layer}.layer_norm.bias"], 1e-5)
            x = F.gelu(x)
        x = F.interpolate(x, size=frames, mode="linear", align_corners=True).transpose(1, 2)
        encoder = "audio_encoder."
        x = _linear(
            s, f"{encoder}feature_projection.projection", _norm(s, f"{encoder}feature_projection.layer_norm", x)
        )
        position = f"{encoder}encoder.pos_conv_embed.conv"
        g, v = (s[f"{position}.parametrizations.weight.original{i}"] for i in (0, 1))
        y = F.conv1d(
            x.transpose(1, 2),
            g * v / v.norm(dim=(0, 1), keepdim=True),
            s[f"{position}.bias"],
            padding=64,
            groups=x.shape[2] // v.shape[1],
        )[..., :-1]
        x = _norm(s, f"{encoder}encoder.layer_norm", x + F.gelu(y.transpose(1, 2)))
        for i in range(_count(s, rf"{encoder}encoder\.layers\.(\d+)\.")):
            layer = f"{encoder}encoder.layers.{i}"
            q, k, v = (_split(_linear(s, f"{layer}.attention.{name}_proj", x), heads) for name in "qkv")
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = _norm(s, f"{layer}.layer_norm", x + _linear(s, f"{layer}.attention.out_proj", y))
            y = F.gelu(_linear(s, f"{layer}.feed_forward.intermediate_dense", x))
            x = _norm(s, f"{layer}.final_layer_norm", x + _linear(s, f"{layer}.feed_forward.output_dense", y))
        x = _linear(s, "feature_projection", x)
        code = s["identity_encoder.id_mlp.weight"][:, style, 0] + s["identity_encoder.id_mlp.bias"]
        x = torch.cat([x, code.expand(1, frames, -1)], 2)
        for i in range(3):
            layer = f"identity_encoder.first_net.conv_layers.{i}"
            rest = _convolution(s, f"{layer}.residual_layer.0", x) if i == 0 else x
            x = F.relu(_norm(s, f"{layer}.norm", _convolution(s, f"{layer}.conv", x)) + rest)
        for i in range(_count(s, r"identity_encoder\.transformer_encoder\.layers\.(\d+)\.")):
            x = _transformer_layer(s, f"identity_encoder.transformer_encoder.layers.{i}.", x)
        for i in range(3):
            x = F.relu(_norm(s, f"decoder.0.{i}.norm", _convolution(s, f"decoder.0.{i}.conv", x)))
        found: NDArray[np.float32] = torch.sigmoid(_linear(s, "output_proj", x))[0].numpy()
        return found


def _transformer_layer(s: State, prefix: str, x: torch.Tensor) -> torch.Tensor:
    layer = torch.nn.TransformerEncoderLayer(x.shape[2], 8, len(s[f"{prefix}linear1.bias"]), 0.0, batch_first=True)
    layer.load_state_dict({key.removeprefix(prefix): value for key, value in s.items() if key.startswith(prefix)})
    found: torch.Tensor = layer.eval()(x)
    return found


def _linear(s: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, s[f"{name}.weight"], s[f"{name}.bias"])


def _norm(s: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], s[f"{name}.weight"], s[f"{name}.bias"], 1e-5)


def _convolution(s: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.conv1d(x.transpose(1, 2), s[f"{name}.weight"], s[f"{name}.bias"], padding=1).transpose(1, 2)


def _split(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _count(s: State, pattern: str) -> int:
    return len({match[1] for key in s if (match := re.match(pattern, key))})


def clip(voice: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """The clip of a golden: ``voice_N`` is N samples of the recording, over and over; ``quiet_N`` the same at a
    thousandth; ``gap`` has silence in it.
    """
    if name == "gap":
        silence = np.zeros(16_000, np.float32)
        return np.concatenate([voice[:24_000], silence, voice[24_000:48_000], silence[:9_600]])
    kind, _, samples = name.partition("_")
    found = np.resize(voice, int(samples)).astype(np.float32)
    return (found * np.float32(1e-3)).astype(np.float32) if kind == "quiet" else found


def goldens(folder: Path) -> list[tuple[str, int, NDArray[np.float32]]]:
    """Clip, style and raw weights of every golden of the bare network in ``folder``."""
    named = [(GOLDEN.fullmatch(path.stem), path) for path in sorted(folder.glob("*.npy"))]
    return [(match["clip"], int(match["style"]), np.load(path)) for match, path in named if match]


def check_recorded(reference: Path | None, size: str, voice: NDArray[np.float32], ask: Ask) -> None:
    """Compare what a served network of ``size`` gives with every recorded output."""
    if reference is None:
        pytest.skip("the recordings are not part of this project; set EMOTALK_REFERENCE to their folder")
    found = {}
    for name, style, expected in goldens(reference / "lam" / f"goldens_{size}"):
        audio = clip(voice, name)
        weights = ask(AUDIO=audio[None], PERSON=np.array([[style]], np.int32))[0]
        assert len(weights) == frame_count(len(audio))
        if len(expected) == len(weights) + 1:  # the authors' floats gave a phantom frame, and laid their grid over it
            assert np.ceil(len(audio) / 16000 * 30) == len(expected)
            continue
        found[name, style] = float(np.abs(weights - expected).max())
        logger.info("%s, style %d: largest difference %.1e", name, style, found[name, style])
    assert len(found) >= 6
    assert max(found.values()) <= TOLERANCE, found
