"""Whole clips through a network, and the validation set that choices are made on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emotalk_export.compact import CompactFace, uniform_positions
from emotalk_training import augment
from emotalk_training.articulation import Phone, loudness_db, score
from emotalk_training.metrics import Weights, accuracy
from emotalk_training.readers import is_validation

SAMPLE_RATE = 16_000


def activities(model: CompactFace, audio: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's answer to a clip [N], before any rule: logits of mouth [1, F, 9] and upper face [1, F, 3]."""
    with torch.no_grad():
        features, emotion_features = model.frontend(torch.from_numpy(audio)[None])
        positions, steps = uniform_positions(len(audio), features.shape[1])
        content = model.content(features, positions)
        emotion = model.emotion(emotion_features, positions, steps)
        mouth, upper = model.decoder.activities(content, emotion)
    return mouth, upper


def composed(model: CompactFace, mouth: torch.Tensor, upper: torch.Tensor) -> Weights:
    """The face of :func:`activities`, natural style, level 1, clamped: [F, 52]."""
    decoder = model.decoder
    with torch.no_grad():
        gestures, speaking = decoder.articulate(mouth)
        columns = decoder.compose(
            gestures, speaking, torch.sigmoid(upper), torch.tensor([[0.0, 1.0]]), torch.eye(24)[:1]
        )
        raw = columns @ decoder.bs_map_r.T
    return np.asarray(raw[0].clamp(0, 1).numpy(), np.float32)


def predict(model: CompactFace, audio: NDArray[np.float32], level: float = 1.0, person: int = 0) -> Weights:
    """Weights [F, 52] of a clip [N], clamped to 0..1."""
    style = torch.zeros(1, 24)
    style[0, person] = 1.0
    with torch.no_grad():
        raw = model(torch.from_numpy(audio)[None], torch.tensor([[1 - level, level]]), style)
    return np.asarray(raw[0].clamp(0, 1).numpy(), np.float32)


def rules(phones: Sequence[Phone], audio: NDArray[np.float32]) -> Weights:
    """The curves that the articulation rules give for an utterance: the truth of every comparison."""
    seconds = len(audio) / SAMPLE_RATE
    times = np.arange(int(np.ceil(seconds * 30)) * 4) / 120
    return score(phones, seconds, loudness_db(audio, SAMPLE_RATE, times)).blendshapes()


@dataclass(frozen=True, slots=True)
class Validation:
    """Utterances in voices that are held back for choices, synthetic ones and people's, clean and at 10 dB SNR."""

    clips: tuple[NDArray[np.float32], ...]
    truth: tuple[Weights, ...]

    @classmethod
    def load(cls, folder: Path, limit: int = 40) -> Validation:
        """``limit`` of synthesisers and of people, from a folder that :func:`emotalk_training.dataset.prepare` made."""
        raw = json.loads((folder / "items.json").read_text(encoding="utf-8"))
        flat = np.memmap(folder / "audio.i16", np.int16, "r")
        clips, truth = [], []
        kept = [r for r in raw if is_validation(r["voice"]) and r["phones"]]
        people = [r for r in kept if r["engine"] == "people"]
        for record in [r for r in kept if r["engine"] != "people"][:limit] + people[:limit]:
            first = record["first_sample"]
            audio = flat[first : first + record["samples"]].astype(np.float32) / 32768
            clips.append(audio)
            truth.append(rules([Phone(*p) for p in record["phones"]], audio))
        return cls(tuple(clips), tuple(truth))

    def report(self, model: CompactFace) -> dict[str, float]:
        """The figures that matter, rounded; empty where the corpus has no held-back voice."""
        if not self.clips:
            return {}
        rng = np.random.default_rng(5)
        noisy = [
            c + augment.coloured_noise(len(c), 1.0, rng) * np.float32(augment.rms(c) * 10 ** (-10 / 20))
            for c in self.clips
        ]
        clean = accuracy(self.truth, [predict(model, c) for c in self.clips])
        rough = accuracy(self.truth, [predict(model, c.astype(np.float32)) for c in noisy])
        idle = [augment.at_level(augment.coloured_noise(64000, e, rng), -35) for e in (0, 1, 2)]
        rest = max(float(predict(model, clip)[:, 22:].mean(0).max()) for clip in idle)
        return {
            "jaw": round(clean.correlation["jawOpen"], 3),
            "press": round(clean.correlation["mouthPressLeft"], 3),
            "recall": round(clean.recall, 3),
            "precision": round(clean.precision, 3),
            "amplitude": round(clean.amplitude, 3),
            "jaw_10dB": round(rough.correlation["jawOpen"], 3),
            "press_10dB": round(rough.correlation["mouthPressLeft"], 3),
            "rest": round(rest, 4),
        }
