"""One sentence as it is said: its sound, and the times of its words and phones; as tensors, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract import speech


@dataclass(frozen=True, slots=True)
class Timed:
    """A word or a phone, and when it is said."""

    text: str
    start: float
    """Seconds."""
    end: float

    def later(self, seconds: float) -> Timed:
        """Return the same, ``seconds`` later."""
        return Timed(self.text, self.start + seconds, self.end + seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One sentence."""

    text: str
    """As it was written."""
    audio: NDArray[np.int16]
    """[n], mono, full scale."""
    sample_rate: int
    """Hertz."""
    words: tuple[Timed, ...] = ()
    """In order; () where the voice does not tell."""
    phones: tuple[Timed, ...] = ()
    warnings: tuple[str, ...] = ()
    """Parts of the text that were left out, in words."""
    start_s: float = 0.0
    """Of the whole text's sound: where this begins. Words and phones count from there too."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.audio) / self.sample_rate

    def starting(self, start_s: float) -> Utterance:
        """Return the same at ``start_s`` of the whole text's sound."""
        by = start_s - self.start_s
        words, phones = ([timed.later(by) for timed in row] for row in (self.words, self.phones))
        return Utterance(self.text, self.audio, self.sample_rate, tuple(words), tuple(phones), self.warnings, start_s)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the outputs of the model ``speech``."""
        return {
            speech.SENTENCE.name: _bytes([self.text]),
            speech.SOUND.name: self.audio,
            speech.SOUND_RATE.name: np.array([self.sample_rate], np.int32),
            speech.WORDS.name: _bytes(timed.text for timed in self.words),
            speech.WORD_TIMES.name: _times(self.words),
            speech.PHONES.name: _bytes(timed.text for timed in self.phones),
            speech.PHONE_TIMES.name: _times(self.phones),
            speech.WARNINGS.name: _bytes(self.warnings),
        }

    @classmethod
    def from_tensors(cls, outputs: Mapping[str, NDArray[Any]]) -> Utterance:
        """Return what :meth:`tensors` wrote.

        Raises:
            ValueError: it is not that: a rate or a time that cannot be, or texts that are not UTF-8.
        """
        (text,) = _texts(outputs[speech.SENTENCE.name])
        rate = int(outputs[speech.SOUND_RATE.name].item())
        audio = outputs[speech.SOUND.name]
        if rate <= 0 or audio.ndim != 1 or not len(audio):
            raise ValueError(f"sound of shape {list(audio.shape)} at {rate} Hz")
        return cls(
            text,
            audio,
            rate,
            _timed(outputs[speech.WORDS.name], outputs[speech.WORD_TIMES.name]),
            _timed(outputs[speech.PHONES.name], outputs[speech.PHONE_TIMES.name]),
            _texts(outputs[speech.WARNINGS.name]),
        )


def _bytes(texts: Iterable[str]) -> NDArray[Any]:
    return np.array([text.encode() for text in texts], np.object_)


def _times(timed: tuple[Timed, ...]) -> NDArray[np.float32]:
    return np.array([[item.start, item.end] for item in timed], np.float32).reshape(-1, 2)


def _texts(items: NDArray[Any]) -> tuple[str, ...]:
    return tuple(item.decode() for item in items.ravel())


def _timed(texts: NDArray[Any], times: NDArray[np.float32]) -> tuple[Timed, ...]:
    if times.shape != (texts.size, 2) or not np.isfinite(times).all():
        raise ValueError(f"times of shape {list(times.shape)} for {texts.size} texts")
    return tuple(Timed(text, float(a), float(b)) for text, (a, b) in zip(_texts(texts), times, strict=True))
