"""Labels of speech: what the mouth and the face do, by the articulation rules or by a teacher, at 60 Hz."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emotalk_training.articulation import Phone, loudness_db, score, visemes
from emotalk_training.corpus import SAMPLE_RATE, Utterance
from emotalk_training.pitch import semitones_over_median

LABEL_FPS = 60
OVERSAMPLING = 2
"""Labels are kept at 60 Hz, evaluated at 120 Hz: crops start anywhere."""
RULES_VERSION = 4
"""Raise it when the articulation rules change, so that labels are made anew."""
RULE_RATE = LABEL_FPS * OVERSAMPLING
LABELS = 8 + 3 + 1 + 1 + 1
"""Columns: mouth, upper face, speaking, viseme class, weight (0 where nobody knows what the mouth does)."""


def label_utterance(
    utterance: Utterance, audio: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Labels [L, 14] at 60 Hz, and loudness (dB) and pitch (semitones) [2 L, 2] at 120 Hz."""
    return label_sound(pressed_early(utterance.engine, utterance.phones), audio)


def label_sound(phones: Sequence[Phone], audio: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """As :func:`label_utterance`, of sound [N] at 16 kHz and its phones."""
    seconds = len(audio) / SAMPLE_RATE
    count = int(np.ceil(seconds * LABEL_FPS))
    times = np.arange(count * OVERSAMPLING) / RULE_RATE
    loudness = loudness_db(audio, SAMPLE_RATE, times)
    pitch = np.zeros(len(times))
    found = semitones_over_median(audio, SAMPLE_RATE, RULE_RATE)[: len(times)]
    pitch[: len(found)] = found
    labels = label_phones(phones, seconds, loudness, pitch)
    return labels, np.stack([loudness, pitch], 1)


BURST_FIRST = ("kokoro", "hib")
"""Engines whose p and b after a pause begin at the burst: in others the closure before it is part of the phone."""
EARLIER_S = 0.05


def pressed_early(engine: str, phones: Sequence[Phone]) -> list[Phone]:
    """The phones as the lips make them: before the burst of a p or b that follows a pause, they are pressed together.

    Only training labels are put right so; the truth of the evaluation is what the rules make of the engine's own times.
    """
    if engine not in BURST_FIRST:
        return list(phones)
    out: list[Phone] = []
    for phone in phones:
        resting = not out or is_viseme(out[-1], "sil")
        if resting and phone.symbol in ("p", "b"):
            start = max(0.0, phone.start - EARLIER_S)
            if out:
                out[-1] = Phone(out[-1].symbol, out[-1].start, max(out[-1].start, start))
            out.append(Phone(phone.symbol, start, phone.end))
        else:
            out.append(phone)
    return out


def is_viseme(phone: Phone, viseme: str) -> bool:
    """Tell whether a phone's first (or only) viseme is ``viseme``."""
    return [v.symbol for v in visemes([phone])][:1] == [viseme]


def label_phones(
    phones: Sequence[Phone], seconds: float, loudness: NDArray[np.float64], pitch: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return labels [L, 14] of ``seconds`` of speech; loudness and pitch are at 120 Hz."""
    s = score(phones, seconds, loudness, pitch, LABEL_FPS, OVERSAMPLING)
    weight = np.ones((len(s.mouth), 1), np.float32)
    return np.concatenate([s.mouth, s.upper, s.speaking[:, None], s.viseme[:, None].astype(np.float32), weight], 1)


def with_taught(labels: NDArray[np.float32], taught: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``labels`` [L, 14] with what the teacher says of the mouth [L, 11]; the upper face follows the voice."""
    out = labels.copy()
    n = min(len(out), len(taught))
    out[:n, :8], out[:n, 11], out[:n, 12], out[:n, 13] = taught[:n, :8], taught[:n, 8], taught[:n, 9], taught[:n, 10]
    out[:, 8:11] *= out[:, 11:12]
    return out


def interpolated(curves: NDArray[np.float32], where: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``curves`` [L, C] at fractional steps ``where`` [T], linear between: [T, C]."""
    where = np.clip(where, 0, len(curves) - 1)
    below = np.minimum(where.astype(int), max(0, len(curves) - 2))
    above = np.minimum(below + 1, len(curves) - 1)
    share = (where - below)[:, None].astype(np.float32)
    return np.asarray(curves[below] * (1 - share) + curves[above] * share, np.float32)
