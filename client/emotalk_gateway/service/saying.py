"""From a text to the voice that says it and the face that speaks it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from emotalk_client.faces.closures import Lips
from emotalk_client.live.settings import LiveOptions
from emotalk_client.saying import SpeechPart
from emotalk_contract import speech
from emotalk_contract.errors import EmptyText, InvalidOption, TextTooLong, UnknownOption
from emotalk_contract.quoting import quoted
from emotalk_contract.utterance import Timed, Utterance
from emotalk_gateway.service.faces import PATIENCE_S, SHARE_S
from emotalk_gateway.service.options import live_options
from emotalk_gateway.service.service import Service

SAY_FIELDS = {
    "text": "what is said",
    "language": f"such as `en` or `fa`; default: by its letters, `fa` or `{speech.DEFAULT_LANGUAGE}`",
    "voice": "a name that the face server knows; default: the language's own",
    "speed": f"{speech.MIN_SPEED:g}..{speech.MAX_SPEED:g}; default {speech.DEFAULT_SPEED:g}",
    "voice_seed": "of the voice's noise: the same gives the same bytes; default 0",
    "lips": "whom they follow where they close: `network`, `phones`, or `auto` (default): phones where they are told",
    "options": "of the face: an object, as of a live stream",
}
"""Of a text, with what they mean."""
_PERSIAN = re.compile("[\u0600-\u06ff\ufb50-\ufdff\ufe70-\ufefc]")
_LATIN = re.compile("[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be said; the client checks the rest of its values."""

    text: str
    language: str
    voice: str | None = None
    speed: float = speech.DEFAULT_SPEED
    voice_seed: int = 0
    lips: Lips = "auto"
    options: LiveOptions = field(default_factory=LiveOptions)

    @classmethod
    def of(cls, given: Mapping[str, Any], max_characters: int) -> Text:
        """Return what ``given``, the fields of :data:`SAY_FIELDS`, asks for.

        Raises:
            InvalidRequest: its subclass says what is unknown or out of range.
        """
        if unknown := sorted(set(given) - set(SAY_FIELDS)):
            raise UnknownOption(f"{quoted(unknown)} came with a text; accepted: {', '.join(SAY_FIELDS)}")
        options = given.get("options") or {}
        if not isinstance(options, dict):
            raise InvalidOption(f"options is {quoted(options)}; accepted: an object")
        text = checked(given.get("text"), max_characters)
        return cls(
            text,
            given.get("language") or language_of(text),
            given.get("voice") or None,
            given.get("speed", speech.DEFAULT_SPEED),
            given.get("voice_seed", 0),
            given.get("lips", "auto"),
            live_options(options),
        )


def checked(text: Any, max_characters: int) -> str:
    """Return ``text``.

    Raises:
        EmptyText, TextTooLong: it is not a text of a character or more, and at most ``max_characters``.
    """
    if not (isinstance(text, str) and text.strip()):
        raise EmptyText(f"the text is {quoted(text)}; accepted: something to say")
    if len(text) > max_characters:
        raise TextTooLong(f"the text has {len(text)} characters; accepted: at most {max_characters}")
    return text


def language_of(text: str) -> str:
    """Return ``fa`` for a text with more letters of that script than Latin ones, else the default."""
    return "fa" if len(_PERSIAN.findall(text)) > len(_LATIN.findall(text)) else speech.DEFAULT_LANGUAGE


def stream(service: Service, asked: Text) -> AsyncGenerator[SpeechPart, None]:
    """Yield the sentences and frames of ``asked``; raises as ``say_stream`` of the client."""
    return service.client.say_stream(
        asked.text,
        language=asked.language,
        voice=asked.voice,
        speed=asked.speed,
        voice_seed=asked.voice_seed,
        lips=asked.lips,
        **asked.options,
    )


async def sayings(service: Service, route: str, asked: Text) -> AsyncGenerator[SpeechPart, None]:
    """Yield the sentences and frames of ``asked``, as they are ready, when there is room to compute them.

    Raises:
        InvalidRequest, ServerError: as ``say_stream`` of the client.
    """
    began, first = time.monotonic(), True
    async with service.uploads.run() as running, aclosing(stream(service, asked)) as parts:
        async for part in parts:
            if part.frames and first:
                service.metrics.first_frame(time.monotonic() - began)
                first = False
            service.frames(route, len(part.frames))
            async with running.paused_after(PATIENCE_S):
                yield part
            await running.share(SHARE_S)


def described(sentence: Utterance) -> dict[str, Any]:
    """Return what a caller is told of ``sentence``, without its sound: plain JSON."""
    return {
        "text": sentence.text,
        "start": sentence.start_s,
        "end": sentence.start_s + sentence.duration_s,
        "sample_rate": sentence.sample_rate,
        "words": _timed("word", sentence.words),
        "phones": _timed("phone", sentence.phones),
        "warnings": list(sentence.warnings),
    }


def _timed(name: str, rows: tuple[Timed, ...]) -> list[dict[str, Any]]:
    return [{name: row.text, "start": row.start, "end": row.end} for row in rows]
