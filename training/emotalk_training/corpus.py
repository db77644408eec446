"""A corpus of speech with phone timings: reading it, and putting engines' timings right.

A corpus is a folder with audio files (WAV, FLAC or Ogg, 16 kHz mono) and ``index.jsonl``, a line a file:
``name`` (file name without suffix), ``ph`` ([symbol, start s, end s] as the engine reports them), ``dur`` (seconds),
``eng``, ``voice``, ``text``.
"""
# ruff: noqa: RUF001 - phonetic letters look like Latin ones

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from emotalk_training.articulation import Phone

log = logging.getLogger(__name__)

SAMPLE_RATE = 16_000
MUSIC = "music"
"""Engine of utterances in which nobody speaks, and instruments play."""
_SUFFIXES = (".flac", ".ogg", ".wav")

TIMING_SHIFT_S: dict[str, float] = {"kokoro": -0.050, "hib": -0.050, "joe": 0.008}
"""Seconds to add to the times of engines whose tokens include stress marks, spaces and pauses. Measured against the
acoustics: dips of energy at bilabial closures, onsets of high-frequency noise at /s/."""
_PAUSES = '^$.,!?;:—…"“”()'
_MARKS = " ˈˌ_"


class CorpusError(ValueError):
    """A corpus that cannot be read: names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A line of the index."""

    name: str
    engine: str
    voice: str
    text: str
    phones: tuple[Phone, ...]
    """Calibrated: seconds at which the sound is heard. None of them: nobody knows."""
    path: Path

    def audio(self) -> NDArray[np.float32]:
        """[N] at 16 kHz, -1..1.

        Raises:
            CorpusError: the file is not 16 kHz mono.
        """
        samples, rate = soundfile.read(self.path, dtype="float32")
        if rate != SAMPLE_RATE or samples.ndim != 1:
            raise CorpusError(f"{self.path}: {rate} Hz, {samples.ndim} dimensions; needed: 16000 Hz mono")
        return np.asarray(samples, np.float32)


def calibrated(engine: str, tokens: Sequence[tuple[str, float, float]]) -> tuple[Phone, ...]:
    """An engine's tokens as phones: stress marks and spaces belong to the phone that follows, a length mark to the one
    before, punctuation is a pause, and the engine's constant offset is taken away."""
    shift = TIMING_SHIFT_S.get(engine)
    if shift is None:
        return tuple(Phone(*token) for token in tokens)
    out: list[Phone] = []
    pending: float | None = None
    for symbol, start, end in tokens:
        if symbol in _MARKS or not symbol.strip():
            pending = start if pending is None else pending
        elif symbol == "ː" and out:
            out[-1] = Phone(out[-1].symbol, out[-1].start, end)
        else:
            first = start if pending is None else pending
            out.append(Phone("sil" if symbol in _PAUSES else symbol, first, end))
            pending = None
    return tuple(Phone(p.symbol, max(0.0, p.start + shift), max(0.0, p.end + shift)) for p in out)


def utterances(folder: Path, *, phones_needed: bool = True) -> Iterator[Utterance]:
    """Every usable utterance of a corpus folder, in the index's order.

    Args:
        phones_needed: those whose phones nobody knows are left out.

    Raises:
        CorpusError: there is no index, or a file that it names is missing.
    """
    index = folder / "index.jsonl"
    if not index.is_file():
        raise CorpusError(f"{folder} holds no index.jsonl")
    present = {path.stem: path for path in folder.iterdir() if path.suffix in _SUFFIXES}
    for line in index.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["name"] not in present:
            raise CorpusError(f"{index} names {record['name']}, but no such audio file is there")
        if record["ph"] is None and phones_needed:
            continue
        tokens = [(str(s), float(a), float(b)) for s, a, b in record["ph"] or ()]
        engine = str(record["eng"])
        if engine.startswith("flite-kal") and abs(tokens[-1][2] - record["dur"]) > 0.12:
            continue  # flite's diphone voices report about 0.1 s too much per sentence
        if record["dur"] < 0.5:
            continue
        yield Utterance(
            record["name"],
            engine,
            str(record.get("voice", "")),
            str(record.get("text", "")),
            calibrated(engine, tokens),
            present[record["name"]],
        )
