"""A voice: one sentence in; sound, and the times of its words and phones where they are known, out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.utterance import Timed


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """One sentence as a voice says it."""

    audio: NDArray[np.float32]
    """[n], mono, -1..1."""
    sample_rate: int
    """Hertz."""
    words: tuple[Timed, ...] = ()
    """Seconds from the first sample; () where the voice does not tell."""
    phones: tuple[Timed, ...] = ()


@runtime_checkable
class Voice(Protocol):
    """One way to speak. An instance may be asked by several threads at once."""

    @property
    def languages(self) -> frozenset[str] | None:
        """The languages that it speaks, such as ``en``; None: whatever it is given."""

    def say(self, sentence: str, language: str, speed: float, seed: int) -> Sound:
        """Return ``sentence``, which is normalised, as sound.

        Args:
            sentence: at most :data:`emotalk_contract.speech.MAX_SENTENCE_CHARACTERS` characters.
            language: one of its own.
            speed: 1 is its own pace.
            seed: the same gives the same bytes.

        Raises:
            VoiceNotInstalled: a program or a library that it needs is missing.
        """
