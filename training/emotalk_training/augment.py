"""Changes to speech between a mouth and a network: rooms, lines, noise, gain.

Every function takes and returns float32 [N] at 16 kHz and a ``numpy.random.Generator``; none moves the speech in time,
so labels stay true.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy import fft

Audio = NDArray[np.float32]
SAMPLE_RATE = 16_000


def rms(audio: Audio) -> float:
    """Root mean square, never 0."""
    return float(np.sqrt(np.mean(audio * audio)) + 1e-7)


def _hertz(samples: int) -> NDArray[np.float64]:
    return np.linspace(0, SAMPLE_RATE / 2, samples // 2 + 1)


def channel(audio: Audio, rng: np.random.Generator) -> Audio:
    """A microphone, a line and a room: random equaliser, telephone band or low-pass, exponential reverberation."""
    samples = len(audio)
    hertz = _hertz(samples)
    gain = np.zeros_like(hertz)
    if rng.random() < 0.85:
        knots = [0, 150, 400, 1000, 2500, 5000, 8000]
        gain += np.interp(hertz, knots, rng.normal(0, 4.0, len(knots)))
    if rng.random() < 0.3:
        gain += np.interp(hertz, [0, 300, 8000], [0, 0, rng.uniform(-14, 10)])
    band = rng.random()
    if band < 0.20:
        low, high = rng.uniform(150, 350), rng.uniform(3000, 3900)
        gain += np.where((hertz < low) | (hertz > high), -rng.uniform(30, 60), 0)
    elif band < 0.36:
        gain += np.where(hertz > rng.uniform(3600, 7500), -rng.uniform(30, 60), 0)
    elif band < 0.46:
        gain += np.where(hertz < rng.uniform(80, 200), -30, 0)
    spectrum = fft.rfft(audio) * (10 ** (gain / 20)).astype(np.float32)
    if rng.random() < 0.4:
        seconds = rng.uniform(0.05, 0.6)
        taps = int(seconds * SAMPLE_RATE)
        tail = rng.standard_normal(taps, np.float32) * np.exp(-6.9 * np.arange(taps) / taps)
        tail *= rng.uniform(0.05, 0.6) / (np.sqrt((tail**2).sum()) + 1e-9)
        tail[0] = 1.0  # the direct sound stays where it is
        spectrum *= fft.rfft(tail.astype(np.float32), samples)
    return np.asarray(fft.irfft(spectrum, samples), np.float32)


def coloured_noise(samples: int, exponent: float, rng: np.random.Generator) -> Audio:
    """Noise of power ~ 1/f^exponent above 30 Hz (0 white, 1 pink, 2 brown), RMS 1."""
    spectrum = fft.rfft(rng.standard_normal(samples, np.float32))
    spectrum /= (np.maximum(30.0, _hertz(samples)) ** (exponent / 2)).astype(np.float32)
    noise = np.asarray(fft.irfft(spectrum, samples), np.float32)
    return noise / rms(noise)


def noise(samples: int, rng: np.random.Generator) -> Audio:
    """A place without voices, RMS 1: white to brown, band-limited, humming, fluctuating, or with knocks."""
    kind = rng.random()
    if kind < 0.25:
        out = rng.standard_normal(samples, np.float32)
    elif kind < 0.65:
        out = coloured_noise(samples, rng.uniform(0.5, 2.2), rng)
    else:  # a room: brown rumble, random resonances
        spectrum = fft.rfft(rng.standard_normal(samples, np.float32))
        hertz = _hertz(samples)
        knots = np.sort(np.concatenate([[0, 8000], rng.uniform(60, 7500, 6)]))
        shape = np.interp(hertz, knots, rng.normal(0, 9, 8)) - rng.uniform(0, 6) * np.log2(1 + hertz / 100)
        out = np.asarray(fft.irfft(spectrum * (10 ** (shape / 20)).astype(np.float32), samples), np.float32)
        out = out / rms(out)
    t = np.arange(samples) / SAMPLE_RATE
    if rng.random() < 0.25:  # comes and goes
        swing = np.interp(t, np.linspace(0, t[-1] + 1e-6, 9), rng.normal(0, 5, 9))
        out = out * 10 ** (swing / 20)
    if rng.random() < 0.2:  # mains and motors
        base, partials = rng.uniform(45, 320), int(rng.integers(1, 9))
        for k in range(1, partials + 1):
            out = out + rng.uniform(0, 1.2) / k * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6.3))
    if rng.random() < 0.2:  # knocks and keys
        for _ in range(int(rng.integers(1, 10))):
            at, taps = int(rng.integers(0, samples - 800)), int(rng.integers(30, 800))
            burst = coloured_noise(800, rng.uniform(0, 1.5), rng)[:taps]
            out[at : at + taps] += rng.uniform(2, 12) * burst * np.exp(-5 * np.arange(taps) / taps)
    out = np.asarray(out, np.float32)
    return out / rms(out)


def music(samples: int, rng: np.random.Generator) -> Audio:
    """Instruments without a voice, RMS 1: a bass, chords and a melody on a beat, and often drums."""
    out = np.zeros(samples, np.float32)
    beat = int(SAMPLE_RATE * rng.uniform(0.18, 0.6))
    root = rng.uniform(50, 110)
    scale = np.array([0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10])
    chords, melody, drums = rng.random(3) < (0.8, 0.7, 0.6)
    first = -int(rng.integers(0, beat))
    for number, at in enumerate(range(first, samples, beat)):
        degree = int(rng.integers(7))
        if number % 2 == 0:
            _add(out, at, _note(root * 2 ** (scale[degree] / 12), 2 * beat, rng, 6), 0.8)
        if chords and number % 4 == 0:
            for third in (0, 2, 4):
                octave, step = divmod(degree + third, 7)
                _add(out, at, _note(root * 2 ** (2 + octave + scale[step] / 12), 4 * beat, rng, 8), 0.35)
        if melody and rng.random() < 0.75:
            pitch = root * 2 ** (rng.integers(2, 5) + scale[int(rng.integers(7))] / 12)
            _add(out, at, _note(pitch, int(beat * rng.uniform(0.5, 3)), rng, 10), rng.uniform(0.3, 1.0))
        if drums:
            taps = int(rng.integers(400, 2400))
            hit = coloured_noise(2400, float(rng.choice([-0.5, 0.5, 2.0])), rng)[:taps]
            _add(out, at, hit * np.exp(-6 * np.arange(taps) / taps).astype(np.float32), rng.uniform(0.2, 1.0))
    return out / rms(out)


EFFECT_CHANCE = 0.35
"""Of each effect that a studio has."""
_EDGES_HZ = (300.0, 800.0, 2000.0, 8000.0)
"""Of the bands whose loudness an effect moves."""


def produced(audio: Audio, rng: np.random.Generator) -> Audio:
    """Music [N] as a studio leaves it: often with bands that come and go (wah, sweeps), a gate, distortion."""
    samples = len(audio)
    t = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    if rng.random() < EFFECT_CHANCE:
        spectrum, hertz = fft.rfft(audio), _hertz(samples)
        out, low = np.zeros(samples, np.float32), 0.0
        for high in _EDGES_HZ:
            band = np.asarray(fft.irfft(np.where((hertz >= low) & (hertz < high), spectrum, 0), samples), np.float32)
            out += band * 10 ** (-rng.uniform(0, 24) / 20 * _swing(t, rng))
            low = high
        audio = out
    if rng.random() < EFFECT_CHANCE:
        audio = audio * (1 - np.float32(rng.uniform(0.3, 1.0)) * _swing(t, rng))
    if rng.random() < EFFECT_CHANCE:
        audio = np.tanh(audio * np.float32(rng.uniform(1, 12) / (rms(audio) * 4)))
    return np.asarray(audio, np.float32)


def _swing(t: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Something that comes and goes, 0..1, at times ``t`` [N]: smoothly, at once, or falling from each beat."""
    turns = np.float32(rng.uniform(0.3, 8)) * t + np.float32(rng.random())
    kind = rng.random()
    if kind < 0.5:
        return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * turns), np.float32)
    part = turns % 1
    return np.asarray(part < 0.5 if kind < 0.7 else 1 - part, np.float32)


def _note(hertz: float, samples: int, rng: np.random.Generator, partials: int) -> Audio:
    """A plucked, struck, bowed or blown tone, some with vibrato."""
    t = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    bend = rng.uniform(0, 0.006) * np.sin(2 * np.pi * rng.uniform(4, 7) * t) if rng.random() < 0.3 else 0.0
    phase = (2 * np.pi * hertz * (t + np.asarray(bend) / 20)).astype(np.float32)
    fall, tilt = rng.uniform(0.5, 8), rng.uniform(0.6, 2.0)
    tone = np.zeros(samples, np.float32)
    for k in range(1, partials + 1):
        if k * hertz < SAMPLE_RATE / 2.2:
            tone += np.float32(rng.uniform(0.3, 1) / k**tilt) * np.sin(np.float32(k) * phase)
    attack = max(1, int(rng.uniform(0.002, 0.08) * SAMPLE_RATE))
    envelope = np.minimum(1, np.arange(samples) / attack) * np.exp(-fall * t)
    envelope *= np.minimum(1, np.arange(samples)[::-1] / (0.02 * SAMPLE_RATE))
    return np.asarray(tone * envelope, np.float32)


def _add(out: Audio, at: int, piece: Audio, gain: float) -> None:
    piece = piece[max(0, -at) :]
    at = max(0, at)
    piece = piece[: len(out) - at]
    out[at : at + len(piece)] += np.float32(gain) * piece


CODECS: tuple[tuple[int, str, str, float], ...] = (
    (8000, "WAV", "GSM610", 0.0),
    (8000, "WAV", "ULAW", 0.0),
    (8000, "OGG", "OPUS", 1.0),
    (16000, "OGG", "OPUS", 1.0),
    (16000, "OGG", "VORBIS", 1.0),
    (16000, "MP3", "MPEG_LAYER_III", 0.99),
    (8000, "MP3", "MPEG_LAYER_III", 0.99),
)
"""Rate in Hertz, container, codec, and how much it compresses (0..1): 8 to 64 kbit/s, none of which delays."""


def coded(audio: Audio, rng: np.random.Generator) -> Audio:
    """A telephone's or a file's codec: what it makes of the sound, at its own rate."""
    rate, container, codec, compression = CODECS[int(rng.integers(len(CODECS)))]
    peak = float(np.abs(audio).max()) + 1e-6
    sound = audio / peak * 0.9
    sound = soxr.resample(sound, SAMPLE_RATE, rate) if rate != SAMPLE_RATE else sound
    file = io.BytesIO()
    given = {"compression_level": compression} if compression else {}
    soundfile.write(file, sound, rate, format=container, subtype=codec, **given)
    file.seek(0)
    heard, _ = soundfile.read(file, dtype="float32")
    heard = soxr.resample(heard, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else heard
    out = np.zeros(len(audio), np.float32)
    out[: len(heard)] = heard[: len(audio)] * np.float32(peak / 0.9)
    return out


def offset(audio: Audio, rng: np.random.Generator) -> Audio:
    """An offset that nobody hears, as cheap sound cards have: up to 5 % of full scale."""
    return np.asarray(audio + np.float32(rng.uniform(-0.05, 0.05)), np.float32)


def line(audio: Audio, rng: np.random.Generator) -> Audio:
    """Sometimes a lossy line: 8-bit mu-law, or hard clipping."""
    chance = rng.random()
    if chance < 0.06:
        peak = float(np.abs(audio).max()) + 1e-6
        scaled = np.sign(audio) * np.log1p(255 * np.abs(audio) / peak) / np.log(256)
        scaled = np.round(scaled * 127) / 127
        return np.asarray(np.sign(scaled) * (np.expm1(np.abs(scaled) * np.log(256)) / 255) * peak, np.float32)
    if chance < 0.14:
        limit = rms(audio) * rng.uniform(2.0, 4.0)
        return np.asarray(np.clip(audio, -limit, limit), np.float32)
    return audio


def at_level(audio: Audio, decibels: float) -> Audio:
    """``audio`` scaled to an RMS of ``decibels`` below full scale, clipped to -1..1."""
    return np.clip(audio * (10 ** (decibels / 20) / rms(audio)), -1, 1).astype(np.float32)
