"""Fundamental frequency by autocorrelation: good enough to label raised brows, no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

WINDOW_S = 0.040
LOW_HZ, HIGH_HZ = 70.0, 400.0
VOICED = 0.45
"""Normalised autocorrelation above which a moment counts as voiced."""


def semitones_over_median(audio: NDArray[np.float32], sample_rate: int, rate: int) -> NDArray[np.float64]:
    """Pitch at n / ``rate`` s in semitones over the utterance's median: 12 log2(f / median); 0 where unvoiced.

    The period is the lag of the highest autocorrelation of 40 ms, divided by that at lag 0.
    """
    length = int(WINDOW_S * sample_rate)
    count = int(np.ceil(len(audio) / sample_rate * rate))
    starts = (np.arange(count) * sample_rate / rate).astype(int)
    padded = np.pad(audio, (length // 2, length + sample_rate // rate))
    frames = padded[starts[:, None] + np.arange(length)[None]]
    frames = frames - frames.mean(1, keepdims=True)
    spectrum = fft.rfft(frames, 2 * length, axis=1)
    correlation = fft.irfft(spectrum * spectrum.conj(), axis=1)[:, :length]
    correlation /= correlation[:, :1] + 1e-6
    # The window's overlap shrinks with the lag.
    correlation /= 1 - np.arange(length) / length * 0.9
    low, high = int(sample_rate / HIGH_HZ), int(sample_rate / LOW_HZ)
    best = low + correlation[:, low:high].argmax(1)
    voiced = correlation[np.arange(count), best] > VOICED
    if voiced.sum() < 5:
        return np.zeros(count)
    hertz = sample_rate / best
    return np.asarray(np.where(voiced, 12 * np.log2(hertz / np.median(hertz[voiced])), 0.0))
