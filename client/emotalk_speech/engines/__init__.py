"""Voices by name: the engines of this package, the operator's own, and those of other packages.

An engine is named ``ENGINE`` or ``ENGINE:WHERE`` (a file, a URL, a command). Only the operator says WHERE; a request
names a voice that the server has. Other packages bring engines through the entry-point group ``emotalk.voices``: each
is a callable that takes WHERE, or None, and returns a :class:`~emotalk_speech.voice.Voice`.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from emotalk_contract.errors import UnknownLanguage, UnknownVoice
from emotalk_contract.quoting import quoted
from emotalk_speech.voice import Voice

GROUP = "emotalk.voices"
Engine = Callable[[str | None], Voice]

OURS = {
    "hibari": ("emotalk_speech.engines.hibari", "HibariVoice"),
    "espeak": ("emotalk_speech.engines.espeak", "EspeakVoice"),
    "flite": ("emotalk_speech.engines.flite", "FliteVoice"),
    "piper": ("emotalk_speech.engines.piper", "PiperVoice"),
    "openai": ("emotalk_speech.engines.openai", "OpenAIVoice"),
    "command": ("emotalk_speech.engines.command", "CommandVoice"),
}
"""Module and class of each engine, imported when it is asked for."""
DEFAULT = "hibari"
STANDING = ("hibari", "espeak", "flite")
"""Those that need no WHERE: every server has them, and says what they lack when they are asked."""


class Voices:
    """The voices of one server, each made when it is first asked for.

    Args:
        named: ``ENGINE:WHERE`` by the name that requests give.
    """

    def __init__(self, named: Mapping[str, str] | None = None) -> None:
        self._named = {name: name for name in STANDING} | dict(named or {})
        self._made: dict[str, Voice] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The names that a request may give."""
        return sorted(self._named)

    def find(self, name: str | None, language: str) -> Voice:
        """Return the voice called ``name``, or the default one.

        Raises:
            UnknownVoice: it is not one of :attr:`names`.
            UnknownLanguage: it does not speak ``language``.
        """
        name = name or DEFAULT
        if name not in self._named:
            raise UnknownVoice(f"voice is {quoted(name)}; accepted: {', '.join(self.names)}")
        with self._lock:
            if name not in self._made:
                self._made[name] = make(self._named[name])
            voice = self._made[name]
        if voice.languages is not None and language not in voice.languages:
            raise UnknownLanguage(
                f"the voice {name!r} does not speak {quoted(language)}; accepted: {', '.join(sorted(voice.languages))}"
            )
        return voice


def make(said: str) -> Voice:
    """Return the voice that ``ENGINE`` or ``ENGINE:WHERE`` means.

    Raises:
        UnknownVoice: there is not such an engine.
        VoiceNotInstalled: it lacks what it needs.
    """
    engine, _, where = said.partition(":")
    if engine in OURS:
        module, name = OURS[engine]
        made: Engine = getattr(importlib.import_module(module), name)
        return made(where or None)
    for point in entry_points(group=GROUP, name=engine):
        loaded: Engine = point.load()
        return loaded(where or None)
    others = sorted(point.name for point in entry_points(group=GROUP))
    raise UnknownVoice(f"there is not an engine {quoted(engine)}; accepted: {', '.join([*OURS, *others])}")
