"""A server with ``POST {base}/audio/speech``, as OpenAI's and many local ones have it: 24 kHz of 16 bits, no times.

Its base URL comes from the operator only, and its key from the environment of the server (``OPENAI_API_KEY``).
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import wave
from urllib.parse import parse_qs, urlsplit

import numpy as np

from emotalk_contract.errors import UnknownVoice, VoiceNotInstalled
from emotalk_contract.quoting import cut, quoted
from emotalk_speech.engines.espeak import from_wav
from emotalk_speech.voice import Sound

KEY_VARIABLE = "OPENAI_API_KEY"
RATE = 24_000
"""Hertz of ``pcm``."""
TIMEOUT_S = 60.0
MAX_BYTES = 64 * 2**20
"""Of one sentence's sound."""
DEFAULT_MODEL, DEFAULT_VOICE = "tts-1", "alloy"


class OpenAIVoice:
    """WHERE is the base URL, with ``?model=…&voice=…`` where they are not the defaults."""

    languages = None

    def __init__(self, where: str | None = None) -> None:
        parts = urlsplit(where or "")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UnknownVoice(f"the base URL is {quoted(where)}; accepted: openai:https://HOST/v1?model=…&voice=…")
        asked = parse_qs(parts.query)
        self._url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/audio/speech"
        self._model = asked.get("model", [DEFAULT_MODEL])[0]
        self._voice = asked.get("voice", [DEFAULT_VOICE])[0]

    def say(self, sentence: str, language: str, speed: float, seed: int) -> Sound:  # noqa: ARG002  # it has neither
        """See :class:`~emotalk_speech.voice.Voice`."""
        body = {
            "model": self._model,
            "voice": self._voice,
            "input": sentence,
            "speed": speed,
            "response_format": "pcm",
        }
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {os.environ.get(KEY_VARIABLE, 'none')}",
        }
        asked = urllib.request.Request(self._url, json.dumps(body).encode(), headers)  # noqa: S310  # http or https
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310  # likewise
                content = answer.read(MAX_BYTES + 1)
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise VoiceNotInstalled(f"the voice's own server failed: {cut(str(error), 200)}") from None
        if len(content) > MAX_BYTES:
            raise VoiceNotInstalled(f"the voice's own server sent more than {MAX_BYTES >> 20} MiB for a sentence")
        return _sound(content)


def _sound(content: bytes) -> Sound:
    """Return ``content``: samples, or a WAV from a server that sends those whatever it is asked for."""
    if content[:4] == b"RIFF":
        try:
            return Sound(*from_wav(content))
        except (wave.Error, EOFError, ValueError) as error:
            raise VoiceNotInstalled(f"the voice's own server sent a WAV that cannot be read ({error})") from None
    samples = np.frombuffer(content[: len(content) // 2 * 2], "<i2")
    return Sound((samples / 32768).astype(np.float32), RATE)
