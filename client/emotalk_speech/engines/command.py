"""Any program as a voice: the sentence on its standard input, a WAV of 16 bits on its standard output."""

from __future__ import annotations

import shlex
import wave

from emotalk_contract.errors import UnknownVoice, VoiceNotInstalled
from emotalk_contract.quoting import quoted
from emotalk_speech.engines.espeak import from_wav
from emotalk_speech.engines.programs import run
from emotalk_speech.voice import Sound


class CommandVoice:
    """WHERE is the command line; ``{language}``, ``{speed}`` and ``{seed}`` in it are filled in. No shell runs it."""

    languages = None

    def __init__(self, where: str | None = None) -> None:
        try:
            self._command = shlex.split(where or "")
        except ValueError:
            self._command = []
        if not self._command:
            raise UnknownVoice(f"the command is {quoted(where)}; accepted: command:PROGRAM ARGUMENT …")

    def say(self, sentence: str, language: str, speed: float, seed: int) -> Sound:
        """See :class:`~emotalk_speech.voice.Voice`."""
        given = {"{language}": language, "{speed}": f"{speed:g}", "{seed}": str(seed)}
        command = [_filled(part, given) for part in self._command]
        told = run(command, sentence, f"this voice needs the program {command[0]} on the server")
        try:
            return Sound(*from_wav(told))
        except (wave.Error, EOFError, ValueError) as error:
            raise VoiceNotInstalled(f"{command[0]} did not write a WAV of 16 bits, mono ({error})") from None


def _filled(part: str, given: dict[str, str]) -> str:
    for name, value in given.items():
        part = part.replace(name, value)
    return part
