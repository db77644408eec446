"""A robot's voice: vowels and murmurs of a buzz through two resonances, with phones that are known.

Synthesisers of that kind are heard in games and toys, and a network that knows people alone takes their m for nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from emotalk_training.articulation import Phone
from emotalk_training.corpus import SAMPLE_RATE

VOWELS: dict[str, tuple[float, float]] = {
    "aa": (750, 1200), "eh": (550, 1800), "iy": (300, 2300), "ao": (550, 900), "uw": (320, 850),
}  # fmt: skip
"""First two formants in Hertz, near those of Peterson & Barney (1952)."""
MURMUR = (250.0, 1100.0)
"""Of a closed mouth: m."""
ABOUT = 0.12
"""Share by which a resonance differs from these, at most."""


def robot(seconds: float, rng: np.random.Generator) -> tuple[NDArray[np.float32], list[Phone]]:
    """Return a robot that says syllables, now and then with a pause: audio [N] and its phones."""
    hertz, at = rng.uniform(80, 260), 0.0
    phones: list[Phone] = []
    pieces: list[NDArray[np.float32]] = []
    while at < seconds:
        if rng.random() < 0.3:
            symbol, long, sound = "sil", float(rng.uniform(0.1, 0.9)), None
        elif rng.random() < 0.45 and not (phones and phones[-1].symbol == "m"):
            symbol, long, sound = "m", float(rng.uniform(0.06, 0.18)), MURMUR
        else:
            symbol = str(rng.choice(list(VOWELS)))
            long, sound = float(rng.uniform(0.12, 0.4)), VOWELS[symbol]
        samples = round(long * SAMPLE_RATE)
        piece = np.zeros(samples, np.float32) if sound is None else _buzz(samples, hertz, sound, rng)
        pieces.append(piece * np.float32(0.4 if symbol == "m" else 1.0))
        phones.append(Phone(symbol, at, at + samples / SAMPLE_RATE))
        at += samples / SAMPLE_RATE
    return np.concatenate(pieces), phones


def _buzz(samples: int, hertz: float, resonances: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float32]:
    pulses = np.diff(np.floor(np.arange(samples) * hertz / SAMPLE_RATE), prepend=0.0)
    wave = lfilter([1], [1, -0.98], pulses)
    for centre, width in zip(resonances, (80.0, 200.0), strict=True):
        turn = 2 * np.pi * centre * rng.uniform(1 - ABOUT, 1 + ABOUT) / SAMPLE_RATE
        radius = np.exp(-np.pi * width * rng.uniform(0.6, 1.6) / SAMPLE_RATE)
        wave = lfilter([1 - radius], [1, -2 * radius * np.cos(turn), radius**2], wave)
    return np.asarray(wave / (np.abs(wave).max() + 1e-9) * 0.5, np.float32)
