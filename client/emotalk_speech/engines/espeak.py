"""espeak-ng, the program: phones of any language for other voices, and a robot's voice of its own.

It is under the GPL and runs as a process of its own; nothing of it comes with this package.
"""

from __future__ import annotations

import io
import re
import wave

import numpy as np

from emotalk_speech.engines.programs import run
from emotalk_speech.voice import Sound

HINT = "this needs the program espeak-ng on the server: apt-get install espeak-ng"
WORDS_PER_MINUTE = 160
_FLAG = re.compile(r"\([a-z-]+\)")
_CLAUSE = re.compile(r"([^.,;:!?،؛؟…—()«»\"\n]+)([.,;:!?،؛؟…—()«»\"\n]*)")


def phones(text: str, language: str) -> list[str]:
    """Return the phones of ``text`` in IPA, a string for each line that espeak-ng writes (about a clause).

    Raises:
        VoiceNotInstalled: the program is missing.
    """
    told = run(["espeak-ng", "-q", "--ipa", "-v", language, "--stdin"], text, needed_by(language)).decode()
    return [_FLAG.sub("", line).strip() for line in told.splitlines() if line.strip()]


def clauses(text: str) -> list[tuple[str, str]]:
    """Return the parts of ``text`` between punctuation, each with what follows it; the program drops that."""
    return [(part.strip(), mark[:1]) for part, mark in _CLAUSE.findall(text) if part.strip()]


def needed_by(language: str) -> str:
    """Return what to say where the program is missing."""
    name = "Persian" if language == "fa" else "this voice"
    return f"{name} needs espeak-ng on the server: apt-get install espeak-ng"


class EspeakVoice:
    """espeak-ng's own voices, by language."""

    languages = None

    def __init__(self, where: str | None = None) -> None:
        self._variant = where

    def say(self, sentence: str, language: str, speed: float, seed: int) -> Sound:  # noqa: ARG002  # it draws nothing
        """See :class:`~emotalk_speech.voice.Voice`."""
        voice = self._variant or language
        pace = str(round(WORDS_PER_MINUTE * speed))
        told = run(["espeak-ng", "-v", voice, "-s", pace, "--stdin", "--stdout"], sentence, needed_by(language))
        audio, rate = from_wav(told)
        return Sound(audio, rate)


def from_wav(content: bytes) -> tuple[np.ndarray[tuple[int], np.dtype[np.float32]], int]:
    """Return the samples [n] and the rate of a WAV of 16 bits, mono, whose header may not know its length."""
    with wave.open(io.BytesIO(content)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (samples / 32768).astype(np.float32), rate
