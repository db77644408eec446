"""flite, the program: English, robotic, and exact about the times of its phones, which makes it a judge of others'."""

from __future__ import annotations

import tempfile
from pathlib import Path

from emotalk_contract.utterance import Timed
from emotalk_speech.engines.espeak import from_wav
from emotalk_speech.engines.programs import run
from emotalk_speech.voice import Sound

HINT = "this voice needs flite on the server: apt-get install flite"
SILENCE = "pau"


class FliteVoice:
    """One of flite's voices; WHERE is its name."""

    languages: frozenset[str] | None = frozenset({"en"})

    def __init__(self, where: str | None = None) -> None:
        self._voice = where or "slt"

    def say(self, sentence: str, language: str, speed: float, seed: int) -> Sound:  # noqa: ARG002  # it draws nothing
        """See :class:`~emotalk_speech.voice.Voice`."""
        with tempfile.TemporaryDirectory(prefix="emotalk-") as folder:
            text, file = Path(folder) / "text", Path(folder) / "voice.wav"
            text.write_text(sentence, "utf-8")
            stretch = f"duration_stretch={1 / speed:.4f}"
            told = run(["flite", "-voice", self._voice, "--setf", stretch, "-psdur", str(text), str(file)], "", HINT)
            audio, rate = from_wav(file.read_bytes())
        return Sound(audio, rate, phones=phones(told.decode()))


def phones(told: str) -> tuple[Timed, ...]:
    """Return the phones in what ``-psdur`` writes: ``pau:0.22 hh:0.27 …``, each with the second at which it ends."""
    out = []
    start = 0.0
    for entry in told.split():
        name, _, end = entry.rpartition(":")
        if name != SILENCE:
            out.append(Timed(name, start, float(end)))
        start = float(end)
    return tuple(out)
