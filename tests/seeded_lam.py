"""Seeded weights for LAM-A2E, at three sizes: test data that nobody has to download.

Every tensor is a function of (key, shape, seed) alone, through NumPy's PCG64, and the shapes follow from a few widths.
The arithmetic must not change by a bit: recorded goldens (EMOTALK_REFERENCE) belong to it.

    python tests/seeded_lam.py {full|small|small_transformer} SEED OUT.tar
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Size = Literal["full", "small", "small_transformer"]
Shape = tuple[int, ...]

SEED = 7
"""Of every golden."""
PREFIX = "backbone."
ATTENTION_HEADS: dict[Size, int] = {"full": 12, "small": 4, "small_transformer": 4}
NEW_NORM = ("parametrizations.weight.original0", "parametrizations.weight.original1")
OLD_NORM = ("weight_g", "weight_v")


def tensor(key: str, shape: Shape, seed: int) -> NDArray[np.float32]:
    """The array of ``shape`` for the state_dict key ``key``, spelt as torch spells it today."""
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    parts = key.split(".")
    leaf = parts[-1]

    def normal(std: float = 1.0) -> NDArray[np.float32]:
        return (rng.standard_normal(shape, dtype=np.float32) * np.float32(std)).astype(np.float32)

    if "output_proj" in parts:  # weights all over 0..1, most of them near rest
        return normal(2.0 / shape[1] ** 0.5) if leaf == "weight" else rng.uniform(-2.5, 0.5, shape).astype(np.float32)
    if any("norm" in part for part in parts):
        return (1.0 + normal(0.1)).astype(np.float32) if leaf == "weight" else normal(0.05)
    if leaf == "masked_spec_embed":
        return rng.uniform(0, 1, shape).astype(np.float32)
    if leaf == "original0":
        gain: NDArray[np.float32] = np.abs(1.0 + normal(0.1)).astype(np.float32)
        return gain
    if leaf.startswith(("bias", "in_proj_bias")):
        return normal(0.05)
    if len(shape) == 3:
        return normal((2.0 / (shape[1] * shape[2])) ** 0.5)
    # Attention that weighs little beside the residual, or a post-norm trunk makes all frames of a long clip alike.
    gains = {"q_proj": 2.0, "k_proj": 2.0, "out_proj": 0.25}
    return normal(gains.get(parts[-2], 1.0) / shape[1] ** 0.5)


def state(shapes: Mapping[str, Shape], seed: int) -> dict[str, NDArray[np.float32]]:
    """``{key: array}`` for ``{key: shape}``, in the same order."""
    out = {key: tensor(key, shape, seed) for key, shape in shapes.items()}
    for key, shape in shapes.items():
        if key.endswith("id_mlp.weight"):  # a column is one style's code, whose size is not one in so many
            out[key] = (out[key] * np.float32((shape[1] / 2.0) ** 0.5)).astype(np.float32)
        if key.endswith("original0"):  # g carries the norm of v, so that the convolution's output stays O(1)
            v = out[key[:-1] + "1"].astype(np.float64)
            out[key] = (out[key] * np.sqrt((v**2).sum(axis=(0, 1), keepdims=True))).astype(np.float32)
    return out


def shapes(size: Size) -> dict[str, Shape]:
    """``{key: shape}`` of a released checkpoint of ``size``, with what it holds and nothing runs."""
    from emotalk_export.checkpoint import TrunkSize
    from emotalk_export.lam_checkpoint import LamSize, expected_shapes

    small = TrunkSize(32, 64, 2, 256, 128, 4)
    sizes = {
        "full": LamSize(TrunkSize(512, 768, 12, 3072, 128, 48), 512, 12, 64, 0, 0, 12),
        "small": LamSize(small, 48, 12, 16, 0, 0, 4),
        "small_transformer": LamSize(small, 48, 20, 16, 2, 96, 4),
    }
    wanted = sizes[size]
    width = wanted.hidden
    extra: dict[str, Shape] = {
        "audio_encoder.masked_spec_embed": (wanted.encoder.hidden,),
        "audio_encoder.lm_head.weight": (32, 1024),
        "audio_encoder.lm_head.bias": (32,),
        "identity_encoder.grus.weight_ih_l0": (3 * width, width),
        "identity_encoder.grus.weight_hh_l0": (3 * width, width),
        "identity_encoder.grus.bias_ih_l0": (3 * width,),
        "identity_encoder.grus.bias_hh_l0": (3 * width,),
    }
    return {
        PREFIX + renamed(key, OLD_NORM, NEW_NORM): shape for key, shape in {**expected_shapes(wanted), **extra}.items()
    }


def renamed(key: str, before: tuple[str, str] = NEW_NORM, after: tuple[str, str] = OLD_NORM) -> str:
    """``key`` with its weight norm spelt another way: as older torch did, unless told otherwise."""
    for one, other in zip(before, after, strict=True):
        if key.endswith(one):
            key = key.removesuffix(one) + other
    return key


def torch_state(size: Size, seed: int = SEED) -> dict[str, Any]:
    """The state_dict as torch has it."""
    import torch

    return {key: torch.from_numpy(value) for key, value in state(shapes(size), seed).items()}


def checkpoint(size: Size, seed: int, path: Path) -> Path:
    """Write the released (inner) file of ``size`` to ``path``, and return ``path``."""
    import torch

    torch.save({"state_dict": torch_state(size, seed)}, path)
    return path


if __name__ == "__main__":
    checkpoint(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))  # type: ignore[arg-type]  # a word of Size
