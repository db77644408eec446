"""The mel spectrogram of Wav2Lip and of the UNet's audio encoder, in NumPy alone.

The steps and their constants are facts of the released networks (:mod:`emotalk_contract.renderers` names them):
pre-emphasis ``y[t] = x[t] - 0.97 x[t-1]``; the magnitude of a centred short-time Fourier transform (800 samples, every
200, Hann); 80 bands on Slaney's scale, each of unit area; ``20 log10(max(1e-5, m)) - 20`` decibels, of which -100..0
are laid over -4..4. librosa gives the same to 1e-5.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import renderers as facts
from emotalk_contract.timing import SAMPLE_RATE

Padding: TypeAlias = Literal["reflect", "zeros"]
"""Beyond both ends, half a window: mirrored, as when these networks were trained, or silence, as librosa has it since
0.10. Only the first and the last two columns differ."""

_BLOCK_COLUMNS = 2_048
"""Computed at once: 25 s, in 20 MB."""
_LINEAR_HZ = 200.0 / 3.0
"""Slaney's scale is linear up to 1 kHz, in steps of so much, and then logarithmic: a factor of 6.4 in 27 steps."""
_LOG_FROM_HZ, _LOG_FROM_MEL = 1000.0, 15.0
_LOG_STEP = float(np.log(6.4)) / 27.0


def mel(samples: NDArray[np.floating[Any]], padding: Padding = "reflect") -> NDArray[np.float32]:
    """Return the spectrogram [80, columns] of ``samples`` (16 kHz, mono, -1..1): ``1 + len(samples) // 200`` columns.

    Fewer than half a window cannot be mirrored, and are followed by silence.
    """
    x = np.array(samples, np.float64)
    half = facts.FFT_SAMPLES // 2
    columns = 1 + len(x) // facts.HOP_SAMPLES
    if len(x) <= half:
        x = np.pad(x, (0, half + 1 - len(x)))
    x[1:] = x[1:] - facts.PRE_EMPHASIS * x[:-1]
    x = np.pad(x, half, mode="reflect" if padding == "reflect" else "constant")
    spans = np.lib.stride_tricks.sliding_window_view(x, facts.FFT_SAMPLES)[:: facts.HOP_SAMPLES][:columns]
    window = np.hanning(facts.FFT_SAMPLES + 1)[:-1]
    found = np.empty((facts.MELS, columns), np.float32)
    for first in range(0, columns, _BLOCK_COLUMNS):
        spectrum = np.abs(np.fft.rfft(spans[first : first + _BLOCK_COLUMNS] * window, axis=1))
        found[:, first : first + _BLOCK_COLUMNS] = _levels(spectrum @ _bands().T).T
    return found


def windows(
    spectrogram: NDArray[np.float32], frames: int, fps: float = facts.NETWORK_FPS, first: int = 0
) -> NDArray[np.float32]:
    """Return what each of ``frames`` pictures hears, [frames, 1, 80, 16].

    Picture i begins to hear at column ``floor(80 i / fps)``; those to whom less than a window is left hear the last 16
    columns. ``fps`` is any: pictures are laid over the sound by their time. ``first`` is the number of the first.
    """
    columns = spectrogram.shape[1]
    if columns < facts.MEL_COLUMNS:
        silence = np.full((facts.MELS, facts.MEL_COLUMNS - columns), -facts.MEL_LIMIT, np.float32)
        spectrogram = np.concatenate([spectrogram, silence], 1)
        columns = facts.MEL_COLUMNS
    starts = np.floor(facts.MEL_RATE * np.arange(first, first + frames) / fps).astype(np.int64)
    starts = np.clip(starts, 0, columns - facts.MEL_COLUMNS)
    heard = spectrogram[:, starts[:, None] + np.arange(facts.MEL_COLUMNS)]
    return np.ascontiguousarray(heard.transpose(1, 0, 2)[:, None])


def _levels(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    decibels = 20 * np.log10(np.maximum(facts.SMALLEST_MAGNITUDE, magnitudes)) - facts.REFERENCE_DB
    limit = facts.MEL_LIMIT
    share = (decibels - facts.FLOOR_DB) / -facts.FLOOR_DB
    found: NDArray[np.float64] = np.clip(2 * limit * share - limit, -limit, limit)
    return found


@cache
def _bands() -> NDArray[np.float64]:
    """Return the weight of every frequency in every band, [80, 401]."""
    lowest, highest = (_mel_of(hertz) for hertz in (facts.LOWEST_HZ, facts.HIGHEST_HZ))
    edges = np.array([_hertz_of(value) for value in np.linspace(lowest, highest, facts.MELS + 2)])
    frequencies = np.fft.rfftfreq(facts.FFT_SAMPLES, 1 / SAMPLE_RATE)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise, fall = (frequencies - low) / (peak - low), (high - frequencies) / (high - peak)
    found: NDArray[np.float64] = np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
    return found


def _mel_of(hertz: float) -> float:
    if hertz < _LOG_FROM_HZ:
        return hertz / _LINEAR_HZ
    return _LOG_FROM_MEL + float(np.log(hertz / _LOG_FROM_HZ)) / _LOG_STEP


def _hertz_of(mels: float) -> float:
    if mels < _LOG_FROM_MEL:
        return mels * _LINEAR_HZ
    return _LOG_FROM_HZ * float(np.exp((mels - _LOG_FROM_MEL) * _LOG_STEP))
