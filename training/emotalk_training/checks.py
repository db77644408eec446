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
from emotalk_training.metrics import CLOSURE_HEIGHT, JAW, MOUTH_CHANNELS, PRESS, TOLERANCE_FRAMES, Weights, closures

Predict = Callable[[NDArray[np.float32]], Weights]
"""A clip [N] at 16 kHz to weights [F, 52]."""

SAMPLE_RATE = 16_000
_MOUTH = [BLENDSHAPES.index(n) for n in MOUTH_CHANNELS]

NOISES: dict[str, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}
NOISE_LEVELS_DB = (-60, -45, -30, -20)
OFFSET = 0.02
"""Of full scale, which a cheap sound card adds."""
PIECES = 4
"""Of music."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Measure how much the mouth idles where nobody speaks."""

    mean: dict[str, float]
    """By kind of sound, the worst over levels: the worst channel's mean over time."""
    peak: dict[str, float]
    """The same: the largest weight of any mouth channel."""


def rest(predict: Predict, recorded: Sequence[NDArray[np.float32]] = (), seconds: float = 10.0, seed: int = 11) -> Rest:
    """Digital silence; noise of every colour, a humming room, hum with an offset of 2 % and music without a voice.

    Each but silence at -60 to -20 dB of full scale.

    Args:
        recorded: clips [N] of music besides, that somebody played.
    """
    rng = np.random.default_rng(seed)
    samples = int(seconds * SAMPLE_RATE)
    sounds = {name: augment.coloured_noise(samples, exponent, rng) for name, exponent in NOISES.items()}
    t = np.arange(samples) / SAMPLE_RATE
    hum = np.asarray(sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 7)), np.float32)
    sounds["room"] = augment.coloured_noise(samples, 1.7, rng) + 0.5 * hum
    sounds["hum"] = hum
    mean: dict[str, float] = {}
    peak: dict[str, float] = {}

    def heard(name: str, audio: NDArray[np.float32]) -> None:
        mouth = predict(audio)[:, _MOUTH]
        mean[name] = max(mean.get(name, 0.0), float(mouth.mean(0).max()))
        peak[name] = max(peak.get(name, 0.0), float(mouth.max()))

    heard("silence", np.zeros(samples, np.float32))
    for name, sound in sounds.items():
        for level in NOISE_LEVELS_DB:
            heard(name, augment.at_level(sound, level))
            if name == "hum":
                heard("hum with an offset", augment.at_level(sound, level) + np.float32(OFFSET))
    for _ in range(PIECES):
        piece = augment.music(samples, rng)
        for level in NOISE_LEVELS_DB:
            heard("music", augment.at_level(piece, level))
    for piece in recorded:
        for level in NOISE_LEVELS_DB:
            heard("recorded music", augment.at_level(piece, level))
    return Rest(mean, peak)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Measure what is left of the face of speech that is 30 dB softer."""

    jaw: float
    """Mean jawOpen over that at full level."""
    press: float
    """Standard deviation of mouthPressLeft, likewise."""


SOFTER_DB = 30.0


def quiet(clips: Sequence[NDArray[np.float32]], predict: Predict, limit: int = 20) -> Quiet:
    """Ask for the first ``limit`` clips at their level and :data:`SOFTER_DB` below."""
    loud = np.concatenate([predict(c) for c in clips[:limit]])
    soft = np.concatenate([predict(c * np.float32(10 ** (-SOFTER_DB / 20))) for c in clips[:limit]])
    return Quiet(
        float(soft[:, JAW].mean() / (loud[:, JAW].mean() + 1e-9)),
        float(soft[:, PRESS].std() / (loud[:, PRESS].std() + 1e-9)),
    )


@dataclass(frozen=True, slots=True)
class Release:
    """Measure how long the lips stay pressed after a b, m or p that ends an utterance."""

    count: int
    median_s: float
    """From the end of the phone to where the press falls under half of its peak; of the truth it is about 0."""
    worst_s: float
    lingering: float
    """Share of those that linger for more than :data:`LINGERING_S`."""


LINGERING_S = 0.15
_FINAL_PAUSE_S = 0.3


def releases(clips: Sequence[NDArray[np.float32]], phones: Sequence[Sequence[Phone]], predict: Predict) -> Release:
    """Look at every bilabial that a pause of 0.3 s or the end follows; of a clip, half a second is added to its end."""
    found = []
    for audio, spoken in zip(clips, phones, strict=True):
        said = [p for p in spoken if [v.symbol for v in visemes([p])][:1] != ["sil"]]
        ends = [
            one.end
            for one, after in zip(said, [*said[1:], None], strict=True)
            if [v.symbol for v in visemes([one])][-1:] == ["PP"]
            and (after is None or after.start - one.end >= _FINAL_PAUSE_S)
        ]
        if not ends:
            continue
        press = predict(np.concatenate([audio, np.zeros(SAMPLE_RATE, np.float32)]))[:, PRESS]
        for end in ends:
            frame = round(end * 30)
            around = press[max(0, frame - 6) : frame + 3]
            if not len(around) or around.max() < CLOSURE_HEIGHT:
                continue  # a miss, which recall counts
            later = np.flatnonzero(press[frame:] < around.max() / 2)
            found.append((later[0] if len(later) else len(press) - frame) / 30)
    times = np.array(found) if found else np.zeros(1)
    return Release(len(found), float(np.median(times)), float(times.max()), float((times > LINGERING_S).mean()))


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
