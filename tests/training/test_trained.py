"""The checkpoint that is committed: floors that need no corpus, only sounds made here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from emotalk_contract.arkit import BLENDSHAPES, INDEX
from emotalk_export.compact import CompactFace
from emotalk_training.augment import at_level, coloured_noise
from emotalk_training.checks import rest
from emotalk_training.metrics import MOUTH_CHANNELS, closures
from emotalk_training.predict import predict

pytestmark = pytest.mark.torch

CHECKPOINT = Path(__file__).parents[2] / "training" / "checkpoints" / "face.pt"
RATE = 16_000

FORMANTS = {"a": (730, 1090, 2440), "i": (270, 2290, 3010), "u": (300, 870, 2240)}
"""Hertz: men's averages as phonetics textbooks have them, after Peterson & Barney."""


@pytest.fixture(scope="module")
def trained() -> CompactFace:
    return CompactFace.from_checkpoint(torch.load(CHECKPOINT, weights_only=True))


def vowel(name: str, seconds: float, pitch: float = 120.0) -> np.ndarray:
    """A pulse train through three resonances, with the fall of a voice's spectrum."""
    samples = int(seconds * RATE)
    phase = np.cumsum(pitch * (1 + 0.02 * np.sin(np.arange(samples) / RATE * 30)) / RATE)
    source = np.diff(np.floor(phase), prepend=0.0)
    wave = lfilter([1], [1, -0.96], source)
    for hertz, width in zip(FORMANTS[name], (60, 90, 150), strict=True):
        radius = np.exp(-np.pi * width / RATE)
        wave = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hertz / RATE), radius**2], wave)
    ramp = np.minimum(1, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / 480)
    return np.asarray(wave / np.abs(wave).max() * ramp * 0.4, np.float32)


def pause(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), np.float32)


def said(*parts: np.ndarray) -> np.ndarray:
    clip = np.concatenate(parts)
    noise = coloured_noise(len(clip), 1.0, np.random.default_rng(0))
    return (clip + at_level(noise, -65)).astype(np.float32)


def test_it_is_small_and_says_where_it_comes_from() -> None:
    assert CHECKPOINT.stat().st_size <= 8_000_000
    stored = torch.load(CHECKPOINT, weights_only=True)
    assert stored["format"] == "emotalk-compact-1"
    assert {"steps", "seed", "minutes", "corpora"} <= set(stored["provenance"])
    assert all(v.dtype == torch.float16 for v in stored["state_dict"].values())


def test_nobody_speaks_nothing_moves(trained: CompactFace) -> None:
    idle = rest(lambda audio: predict(trained, audio), seconds=5)
    assert max(idle.mean.values()) < 0.02, idle.mean
    del idle.peak["music"]  # a beat still moves the mouth for moments: the model card says so
    assert max(idle.peak.values()) < 0.05, idle.peak


def test_vowels_have_their_shapes(trained: CompactFace) -> None:
    def middle(name: str) -> np.ndarray:
        clip = said(pause(0.5), *[part for _ in range(4) for part in (vowel(name, 0.25), pause(0.15))])
        weights = predict(trained, clip)
        centres = [round((0.5 + 0.4 * i + 0.125) * 30) for i in range(4)]
        return weights[centres].mean(0)

    a, i, u = (middle(name) for name in "aiu")
    jaw, pucker, spread = INDEX["jawOpen"], INDEX["mouthPucker"], INDEX["mouthStretchLeft"]
    assert a[jaw] > 0.3
    assert a[jaw] > 1.4 * max(i[jaw], u[jaw])
    assert u[pucker] > 2 * max(a[pucker], i[pucker])
    assert i[spread] > 2 * max(a[spread], u[spread])


def test_the_jaw_opens_and_closes_in_time(trained: CompactFace) -> None:
    clip = said(pause(0.6), vowel("a", 0.3), pause(0.6))
    jaw = predict(trained, clip)[:, INDEX["jawOpen"]]
    above = np.flatnonzero(jaw > jaw.max() / 2) / 30
    assert above[0] == pytest.approx(0.6, abs=0.07)
    assert above[-1] == pytest.approx(0.9, abs=0.08)
    assert jaw[:12].max() < 0.03
    assert jaw[-12:].max() < 0.03


def hummed(seconds: float) -> np.ndarray:
    """m: a low murmur, the lips closed."""
    samples = int(seconds * RATE)
    source = np.diff(np.floor(np.arange(samples) * 120 / RATE), prepend=0.0)
    wave = lfilter([1], [1, -0.98], source)
    for hertz, width in ((250, 60), (1100, 300)):
        radius = np.exp(-np.pi * width / RATE)
        wave = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hertz / RATE), radius**2], wave)
    return np.asarray(wave / np.abs(wave).max() * 0.12, np.float32)


def test_lips_close_between_vowels_for_every_person(trained: CompactFace) -> None:
    clip = said(
        pause(0.4), *[p for _ in range(4) for p in (vowel("a", 0.22), hummed(0.08))], vowel("a", 0.22), pause(0.4)
    )
    expected = [round((0.4 + 0.3 * i + 0.26) * 30) for i in range(4)]
    for person in (0, 1, 8, 14):
        found = closures(predict(trained, clip, person=person))
        hits = sum(any(abs(f - e) <= 2 for f in found) for e in expected)
        assert hits >= 3, (person, found)


def test_lips_part_after_a_last_m(trained: CompactFace) -> None:
    clip = said(pause(0.4), vowel("a", 0.3), hummed(0.1), pause(1.0))
    press = predict(trained, clip)[:, INDEX["mouthPressLeft"]]
    end = round(0.8 * 30)
    assert press[end - 4 : end + 2].max() > 0.25
    assert press[end + 6 :].max() < 0.1


@pytest.mark.parametrize("decibels", [-50, -40, -30, -12])
def test_quiet_and_loud_recordings_move_the_same_mouth(trained: CompactFace, decibels: float) -> None:
    clip = said(pause(0.5), *[p for _ in range(4) for p in (vowel("a", 0.25), pause(0.2))])
    mouth = [INDEX[n] for n in MOUTH_CHANNELS]
    difference = np.abs(predict(trained, at_level(clip, decibels)) - predict(trained, at_level(clip, -20)))[:, mouth]
    assert difference.mean() < 0.02


def test_raw_weights_lie_in_range_and_blinks_are_left_alone(trained: CompactFace) -> None:
    clip = said(pause(0.3), vowel("a", 0.4), vowel("u", 0.4), vowel("i", 0.4), pause(0.3))
    level, style = torch.tensor([[0.0, 1.0]]), torch.eye(24)
    with torch.no_grad():
        raw = trained(torch.from_numpy(clip)[None].expand(24, -1), level.expand(24, -1), style).numpy()
    assert raw.shape == (24, -(-len(clip) * 30 // RATE), len(BLENDSHAPES))
    assert raw.min() > -0.05
    assert raw.max() < 1.3
    assert not raw[..., [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].any()
