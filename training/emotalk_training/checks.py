"""Duties of a usable face besides following speech: rest, start in time, stand noise, be cut, be fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPES
from emotalk_training import augment
from emotalk_training.articulation import Phone, visemes
from emotalk_training.metrics import MOUTH_CHANNELS, TOLERANCE_FRAMES, Weights, closures

Predict = Callable[[NDArray[np.float32]], Weights]
"""A clip [N] at 16 kHz to weights [F, 52]."""

SAMPLE_RATE = 16_000
_MOUTH = [BLENDSHAPES.index(n) for n in MOUTH_CHANNELS]

NOISES: dict[str, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}
NOISE_LEVELS_DB = (-60, -45, -30, -20)


@dataclass(frozen=True, slots=True)
class Rest:
    """Measure how much the mouth idles: mean over time of the worst channel."""

    silence: float
    noise: dict[str, float]
    """By colour, the worst over levels; "room" is brown noise with mains hum, "start" the first second of each."""


def rest(predict: Predict, seconds: float = 10.0, seed: int = 11) -> Rest:
    """Digital silence, and noise of every colour from -60 to -20 dB of full scale."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * SAMPLE_RATE)

    def idle(audio: NDArray[np.float32]) -> float:
        return float(predict(audio)[:, _MOUTH].mean(0).max())

    noise: dict[str, float] = {}
    for name, exponent in NOISES.items():
        raw = augment.coloured_noise(samples, exponent, rng)
        noise[name] = max(idle(augment.at_level(raw, level)) for level in NOISE_LEVELS_DB)
    t = np.arange(samples) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 7))
    room = augment.coloured_noise(samples, 1.7, rng) + 0.5 * np.asarray(hum, np.float32)
    noise["room"] = max(idle(augment.at_level(room, level)) for level in NOISE_LEVELS_DB)
    return Rest(idle(np.zeros(samples, np.float32)), noise)


@dataclass(frozen=True, slots=True)
class Onsets:
    """Utterance-initial p and b."""

    natural: float
    """Recall where p or b comes first after at least 150 ms of pause."""
    natural_count: int
    cut: float
    """Recall where everything before a p or b was replaced by half a second of silence."""
    cut_count: int


PAUSE_S = 0.15
CLIP_S = 1.6


def onsets(
    clips: Sequence[NDArray[np.float32]],
    phones: Sequence[Sequence[Phone]],
    predict: Predict,
    limit: int = 150,
) -> Onsets:
    """Tell whether the lips close within 2 frames of the middle of the segment."""
    hits = total = cut_hits = cut_total = 0
    for audio, spoken in zip(clips, phones, strict=True):
        found: NDArray[np.int64] | None = None
        last_end = -1.0
        for phone in spoken:
            if visemes([phone]) and visemes([phone])[0].symbol == "sil":
                continue
            if phone.symbol in ("p", "b"):
                middle = (phone.start + phone.end) / 2 * 30
                if last_end < 0 or phone.start - last_end >= PAUSE_S:
                    found = closures(predict(audio)) if found is None else found
                    total += 1
                    hits += bool(np.any(np.abs(found - middle) <= TOLERANCE_FRAMES + 0.5))
                if cut_total < limit:
                    start = int(phone.start * SAMPLE_RATE)
                    tail = audio[start : start + int(CLIP_S * SAMPLE_RATE)]
                    clip = np.concatenate([np.zeros(8000, np.float32), tail])
                    at = 15 + middle - phone.start * 30
                    seen = closures(predict(clip))
                    cut_total += 1
                    cut_hits += bool(np.any(np.abs(seen - at) <= TOLERANCE_FRAMES + 0.5))
            last_end = phone.end
    return Onsets(hits / max(1, total), total, cut_hits / max(1, cut_total), cut_total)


def with_noise(clips: Sequence[NDArray[np.float32]], snr_db: float, seed: int = 7) -> list[NDArray[np.float32]]:
    """The clips in white and pink noise by turns, at a signal-to-noise ratio over the whole clip."""
    rng = np.random.default_rng(seed)
    out = []
    for i, clip in enumerate(clips):
        raw = augment.coloured_noise(len(clip), float(i % 2), rng)
        out.append((clip + raw * augment.rms(clip) * 10 ** (-snr_db / 20)).astype(np.float32))
    return out


@dataclass(frozen=True, slots=True)
class Windowed:
    """Cut against whole."""

    share: float
    """Share of weights that differ by more than 0.02."""
    largest: float
    """The largest difference."""


GRID_SAMPLES, GRID_FRAMES = 1600, 3


def windowed(audio: NDArray[np.float32], predict: Predict, window_s: float, past_s: float, ahead_s: float) -> Windowed:
    """The clip in windows of ``window_s`` with that much context, joined, against the whole clip.

    All three are rounded up to the 100 ms grid on which samples, features and frames meet.
    """
    window, past, ahead = (-(-int(s * SAMPLE_RATE) // GRID_SAMPLES) for s in (window_s, past_s, ahead_s))
    whole = predict(audio)
    joined = np.zeros_like(whole)
    step = window - past - ahead
    for first in range(0, -(-len(audio) // GRID_SAMPLES), step):
        left = max(0, first - past)
        piece = audio[left * GRID_SAMPLES : (first + step + ahead) * GRID_SAMPLES]
        if len(piece) < 720:
            piece = audio[max(0, len(audio) - 1600 - len(audio) % 1600) :]
            left = max(0, len(audio) - 1600 - len(audio) % 1600) // GRID_SAMPLES
        weights = predict(piece)
        low, high = first * GRID_FRAMES, min((first + step) * GRID_FRAMES, len(whole))
        joined[low:high] = weights[low - left * GRID_FRAMES : high - left * GRID_FRAMES]
    difference = np.abs(joined - whole)
    return Windowed(float((difference > 0.02).mean()), float(difference.max()))


def real_time_factor(predict: Predict, seconds: float = 25.0, repeats: int = 5) -> float:
    """Best of ``repeats``: seconds of computing per second of audio."""
    audio = (np.random.default_rng(1).standard_normal(int(seconds * SAMPLE_RATE)) * 0.1).astype(np.float32)
    predict(audio)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        predict(audio)
        best = min(best, time.perf_counter() - start)
    return best / seconds
