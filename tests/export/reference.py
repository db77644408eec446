"""The network as a whole, run in torch the way the goldens were made, and the goldens."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

import seeded
from emotalk_contract import tensors
from emotalk_contract.timing import Positions, emotion_frame_count, feature_count
from emotalk_export.face import Face

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Golden:
    """One recorded output of the authors' code: `<clip>[_<first n samples>]__level<l>_person<p>.npy`."""

    path: Path
    clip: str
    samples: int | None
    level: int
    person: int

    @classmethod
    def of(cls, path: Path) -> Golden:
        match = re.fullmatch(r"([a-z]+\d?)(?:_(\d+))?__level(\d)_person(\d+)", path.stem)
        assert match, path
        clip, samples, level, person = match.groups()
        return cls(path, clip, int(samples) if samples else None, int(level), int(person))

    def audio(self) -> Array:
        if self.clip == "speechlike":
            assert self.samples
            return seeded.speechlike(self.samples)
        audio, rate = soundfile.read(self.path.parents[1] / "audio" / f"{self.clip}.wav", dtype="float32")
        assert rate == 16_000
        return audio[: self.samples]

    def weights(self) -> Array:
        return np.load(self.path)


def goldens(folder: Path) -> list[Golden]:
    return [Golden.of(path) for path in sorted(folder.glob("*.npy"))]


def normalised(audio: Array, epsilon: float = 1e-7) -> Array:
    wide = audio.astype(np.float64)
    return ((audio - np.float32(wide.mean())) / np.sqrt(np.float32(wide.var()) + np.float32(epsilon))).astype(
        np.float32
    )


def ramp(source: int, target: int) -> Array:
    """Positions of torch's linear interpolation with align_corners=True, in float32 as torch computes them."""
    return np.arange(target, dtype=np.float32) * np.float32((source - 1) / (target - 1) if target > 1 else 0)


def authors_positions(samples: int, frames: int) -> Positions:
    """The authors' grid for a clip to which they give `frames` frames: a phantom one now and then."""
    features = feature_count(samples)
    steps = emotion_frame_count(features)
    return Positions(ramp(features, frames), ramp(features, steps), ramp(steps, frames))


@dataclass(frozen=True, slots=True)
class CommandRun:
    """An export by the command."""

    repository: Path
    done: subprocess.CompletedProcess[str]


class Network:
    """The four modules of a face, as one."""

    def __init__(self, face: Face) -> None:
        self.frontend, self.content, self.emotion, self.decoder = (face.graph(model) for model in tensors.GRAPHS)

    def features(self, signal: Array) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            return self.frontend(batch(signal))

    def decode(self, content: torch.Tensor, emotion: torch.Tensor, level: float, person: int) -> Array:
        code = torch.zeros(1, 24)
        code[0, person] = 1
        with torch.inference_mode():
            return self.decoder(content, emotion, torch.tensor([[1 - level, level]]), code)[0].numpy()

    def weights(self, signal: Array, at: Positions, level: float = 1, person: int = 0) -> Array:
        """Weights [F, 52] of a normalised signal."""
        with torch.inference_mode():
            content, emotion = self.features(signal)
            return self.decode(
                self.content(content, batch(at.content)),
                self.emotion(emotion, batch(at.emotion), batch(at.emotion_frame)),
                level,
                person,
            )


def batch(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None]


def largest(a: Array, b: Array) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


def difference(network: Network, golden: Golden) -> float:
    """How far torch is from a golden, on positions made for the golden's own frame count."""
    audio, expected = golden.audio(), golden.weights()
    at = authors_positions(len(audio), len(expected))
    return largest(network.weights(normalised(audio), at, golden.level, golden.person), expected)
