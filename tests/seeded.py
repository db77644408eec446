"""Seeded weights for EmoTalk, and a signal that stands in for a voice: test data that nobody has to download.

The trained weights may not be redistributed, so the goldens in ``data/`` were computed by the authors' own code on
weights that are a function of (key, shape, seed) alone, through NumPy's PCG64. The arithmetic here must not change by
a bit: the goldens belong to it.

    python tests/seeded.py {full|small} SEED OUT.pth [--outliers] [--one-frontend]
"""

from __future__ import annotations

import ast
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Size = Literal["full", "small"]
Shape = tuple[int, ...]

DATA = Path(__file__).parent / "data"
SEED = 7
"""Of every golden."""
ATTENTION_HEADS: dict[Size, int] = {"full": 16, "small": 4}


def tensor(key: str, shape: Shape, seed: int) -> NDArray[np.float32]:
    """The array of ``shape`` for the state_dict key ``key``."""
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    leaf = key.rsplit(".", 1)[-1]

    def normal(std: float = 1.0) -> NDArray[np.float32]:
        return (rng.standard_normal(shape, dtype=np.float32) * np.float32(std)).astype(np.float32)

    if key.startswith("bs_map_r"):  # lands the outputs roughly in 0..1
        return normal(0.006) if leaf == "weight" else rng.uniform(0.2, 0.6, shape).astype(np.float32)
    if "layer_norm" in key or ".norm" in key:
        return (1.0 + normal(0.1)).astype(np.float32) if leaf == "weight" else normal(0.05)
    if leaf == "masked_spec_embed":
        return rng.uniform(0, 1, shape).astype(np.float32)
    if leaf in ("weight_g", "original0"):
        gain: NDArray[np.float32] = np.abs(1.0 + normal(0.1)).astype(np.float32)
        return gain
    if leaf in ("bias", "in_proj_bias"):
        return normal(0.05)
    if len(shape) == 3:  # convolution
        return normal((2.0 / (shape[1] * shape[2])) ** 0.5)
    spread = 1.5 if (".q_proj." in key or ".k_proj." in key) else 0.7
    if key.startswith(("obj_vector", "audio_feature_map", "transformer_decoder")):
        spread = 1.0
    return normal(spread / shape[1] ** 0.5)


def state(shapes: Mapping[str, Shape], seed: int) -> dict[str, NDArray[np.float32]]:
    """``{key: array}`` for ``{key: shape}``, in the same order."""
    out = {key: tensor(key, shape, seed) for key, shape in shapes.items()}
    for key in out:  # weight norm: let g carry the norm of v, so that the convolution's output stays O(1)
        if key.endswith("weight_g"):
            v = out[key[:-1] + "v"].astype(np.float64)
            out[key] = (out[key] * np.sqrt((v**2).sum(axis=(0, 1), keepdims=True))).astype(np.float32)
    return out


def speechlike(n: int) -> NDArray[np.float32]:
    """``n`` samples at 16 kHz: a wandering pitch with harmonics, syllables, breath.

    A function of ``n`` alone (a longer one starts with the shorter), so that goldens need no recording beside them.
    """
    t = np.arange(n, dtype=np.float64) / 16000.0
    phase = 2 * np.pi * (140.0 * t - 3.0 * np.cos(2 * np.pi * 1.7 * t) - 5.0 * np.cos(2 * np.pi * 0.31 * t))
    voice = sum(np.sin(k * phase) / k ** (1.0 + 0.4 * np.sin(2 * np.pi * 2.3 * t)) for k in range(1, 18))
    syllables = np.clip(np.sin(2 * np.pi * 3.9 * t) + 0.4 * np.sin(2 * np.pi * 1.1 * t + 1.0), 0.0, None) ** 1.5
    noise = np.random.Generator(np.random.PCG64(16000)).standard_normal(n)
    signal: NDArray[np.float32] = (0.12 * syllables * voice + 0.01 * noise).astype(np.float32)
    return signal


def shapes(size: Size) -> dict[str, Shape]:
    """``{key: shape}`` of the checkpoint of ``size``, in the released order."""
    lines = (DATA / f"keys_{size}.txt").read_text("utf-8").splitlines()
    return {key: ast.literal_eval(shape) for key, shape in (line.split("\t") for line in lines)}


OUTLIERS = 4
"""Channels of every norm and every feed-forward layer that are made large."""
OUTLIER_GAIN = np.float32(20.0)


def with_outliers(weights: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The same with a few channels that are far larger than the others, as trained transformers have them.

    What a norm gives in such a channel is larger by a gain, and what is made of it smaller by as much: the same
    network. Behind a GELU it is nearly the same.
    """
    out = {key: value.copy() for key, value in weights.items()}
    pairs = (
        ("layer_norm", ("attention.q_proj", "attention.k_proj", "attention.v_proj")),
        ("final_layer_norm", ("feed_forward.intermediate_dense",)),
        ("feed_forward.intermediate_dense", ("feed_forward.output_dense",)),
    )
    norm = ".layer_norm.weight"
    for layer in [key[: 1 - len(norm)] for key in out if ".encoder.layers." in key and key.endswith(norm)]:
        for maker, takers in pairs:
            gain = out[f"{layer}{maker}.weight"]
            rng = np.random.Generator(np.random.PCG64([SEED, zlib.crc32((layer + maker).encode())]))
            chosen = rng.choice(len(gain), OUTLIERS, replace=False)
            gain[chosen] *= OUTLIER_GAIN
            out[f"{layer}{maker}.bias"][chosen] *= OUTLIER_GAIN
            for taker in takers:
                out[f"{layer}{taker}.weight"][:, chosen] /= OUTLIER_GAIN
    return out


def with_one_frontend(weights: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The same with the content encoder's convolutions in both encoders, as after training with them frozen."""
    content, emotion = "audio_encoder_cont.feature_extractor.", "audio_encoder_emo.wav2vec2.feature_extractor."
    return {
        key: weights[content + key.removeprefix(emotion)] if key.startswith(emotion) else value
        for key, value in weights.items()
    }


def checkpoint(size: Size, seed: int, path: Path, outliers: bool = False, one_frontend: bool = False) -> Path:
    """Write the checkpoint of ``size`` to ``path`` in the released layout, and return ``path``."""
    import torch  # only here: the server's tests want the signal alone

    weights = state(shapes(size), seed)
    if outliers:
        weights = with_outliers(weights)
    if one_frontend:
        weights = with_one_frontend(weights)
    torch.save({key: torch.from_numpy(value) for key, value in weights.items()}, path)
    return path


if __name__ == "__main__":
    flags = sys.argv[4:]
    checkpoint(
        sys.argv[1],  # type: ignore[arg-type]  # a word of Size
        int(sys.argv[2]),
        Path(sys.argv[3]),
        outliers="--outliers" in flags,
        one_frontend="--one-frontend" in flags,
    )
