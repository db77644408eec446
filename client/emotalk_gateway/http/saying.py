"""Text in: ``POST /api/v1/say``, sound and frames as Server-Sent Events, and ``POST /v1/audio/speech``, sound alone.

The second is OpenAI's (platform.openai.com, "Create speech"), so that whoever speaks through that can speak through
this gateway; language and times, which it has no words for, are the first one's.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, get_args

import numpy as np
import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_client.audio.encoding import AudioFormat, encoded
from emotalk_client.audio.resampler import at_rate
from emotalk_client.threads import in_thread
from emotalk_contract.errors import InvalidOption
from emotalk_contract.timing import FPS
from emotalk_gateway.http.sse import event
from emotalk_gateway.http.streaming import Streamed
from emotalk_gateway.listening.access import check_header
from emotalk_gateway.listening.lifetime import SCOPE_KEY, OneRequest
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.errors import InvalidMessage, Problem, UploadTooLarge
from emotalk_gateway.service.saying import SAY_FIELDS, Text, checked, described, language_of, sayings
from emotalk_gateway.service.service import Service

SAY_PATH = "/api/v1/say"
SPEECH_PATH = "/v1/audio/speech"
MAX_BODY_BYTES = 2**20
"""Of a text in JSON, whatever the longest text."""
PCM_RATE = 24_000
"""Hertz of ``pcm``, which has no header to say it: OpenAI's."""
MEDIA_TYPES: dict[AudioFormat, str] = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
}
OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"}
)
"""Voices that OpenAI's callers name: here, whoever is the language's own."""
_SPEECH_FIELDS = ("model", "input", "voice", "response_format", "speed", "instructions", "stream_format", "language")


def add_saying(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    @app.post(SAY_PATH, tags=["text"], response_class=Response, openapi_extra=_schema("text", SAY_FIELDS))
    async def say(request: Request) -> Response:
        """Sentences with their sound, and frames: `sentence` events, `data:` events with lists of `{timecode,
        blendshapes}`, then an `end` event."""
        caller, given = await object_of(service, request)
        asked = Text.of(given, service.settings.max_text_characters)
        return Streamed(service, _events(service, asked, caller), "text/event-stream", _last_words)

    @app.post(
        SPEECH_PATH,
        tags=["text"],
        response_class=Response,
        openapi_extra=_schema("input", dict.fromkeys(_SPEECH_FIELDS, "")),
    )
    async def speech(request: Request) -> Response:
        """The sound of `input`, as OpenAI's interface has it: `wav`, `mp3`, `flac`, `opus`, or `pcm` as it is said."""
        caller, given = await object_of(service, request)
        kind, asked = _speech(given, service.settings.max_text_characters)
        if kind == "pcm":
            return _Pcm(service, _samples(service, asked, caller), request)
        with service.uploads.admit():
            sounds = [sound async for sound in _sounds(service, asked, caller)]
            pcm = np.concatenate([sound for sound, _ in sounds])
            content = await in_thread(encoded, pcm, sounds[0][1], kind)
        return Response(content, media_type=MEDIA_TYPES[kind])


async def object_of(service: Service, request: Request) -> tuple[Caller, dict[str, Any]]:
    """Return who asks, and the body of ``request``, an object in JSON.

    Raises:
        NotAuthorised, NotPermitted, LimitReached, GatewayFull, UploadTooLarge: it is not taken.
        InvalidMessage: it is not an object.
    """
    caller = check_header(request, service, "animate")
    service.uploads.check()
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise UploadTooLarge(f"the body has more than {MAX_BODY_BYTES} bytes; accepted: at most {MAX_BODY_BYTES}")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"the body is not JSON ({error}); accepted: an object") from error
    if not isinstance(found, dict):
        raise InvalidMessage(f"the body is a {type(found).__name__}; accepted: an object")
    return caller, found


async def _events(service: Service, asked: Text, caller: Caller) -> AsyncGenerator[bytes, None]:
    count, seconds = 0, 0.0
    with service.uploads.admit():
        async with aclosing(sayings(service, SAY_PATH, asked)) as parts:
            async for part in parts:
                if part.sentence is not None:
                    said = described(part.sentence)
                    seconds = said["end"]
                    service.access.speech(caller, part.sentence.duration_s)
                    yield event({**said, "audio": b64encode(_bytes(part.sentence.audio)).decode()}, "sentence")
                if part.frames:
                    count += len(part.frames)
                    yield event([{"timecode": one.timecode, "blendshapes": one.weights} for one in part.frames])
    yield event({"frames": count, "fps": FPS, "seconds": seconds}, "end")


def _last_words(problem: Problem) -> bytes:
    return event(problem.body(), "error")


def _speech(given: dict[str, Any], max_characters: int) -> tuple[Any, Text]:
    """Return the format that is asked for, and the text."""
    kinds = (*get_args(AudioFormat), "pcm")
    kind = given.get("response_format", "mp3")
    if kind not in kinds:
        raise InvalidOption(f"response_format is {kind!r}; accepted: {', '.join(kinds)}")
    if given.get("stream_format", "audio") != "audio":
        raise InvalidOption(f"stream_format is {given['stream_format']!r}; accepted: audio")
    voice = given.get("voice")
    text = checked(given.get("input"), max_characters)
    return kind, Text(
        text,
        given.get("language") or language_of(text),
        None if voice in OPENAI_VOICES else voice or None,
        given.get("speed", 1.0),
    )


async def _sounds(
    service: Service, asked: Text, caller: Caller
) -> AsyncGenerator[tuple[np.ndarray[Any, np.dtype[np.int16]], int], None]:
    """Yield the sound of each sentence, and its rate."""
    said = service.client.utterances(
        asked.text, language=asked.language, voice=asked.voice, speed=asked.speed, voice_seed=asked.voice_seed
    )
    async with service.uploads.run(), aclosing(said) as sentences:
        async for sentence in sentences:
            service.access.speech(caller, sentence.duration_s)
            yield sentence.audio, sentence.sample_rate


async def _samples(service: Service, asked: Text, caller: Caller) -> AsyncGenerator[bytes, None]:
    with service.uploads.admit():
        async with aclosing(_sounds(service, asked, caller)) as sounds:
            async for pcm, rate in sounds:
                yield _bytes(at_rate(pcm, rate, PCM_RATE))


def _bytes(pcm: np.ndarray[Any, np.dtype[np.int16]]) -> bytes:
    return pcm.astype("<i2", copy=False).tobytes()


class _Pcm(Streamed):
    """Samples as they are said. What fails later breaks the connection: samples have no words for it."""

    def __init__(self, service: Service, pieces: AsyncGenerator[bytes, None], request: Request) -> None:
        def cut(_: Problem) -> bytes:
            lifetime: OneRequest = request.scope[SCOPE_KEY]
            lifetime.abort()
            return b""

        super().__init__(service, pieces, "audio/pcm", cut)


def _schema(needed: str, fields: dict[str, str]) -> dict[str, Any]:
    properties = {name: {"description": text} for name, text in fields.items()}
    schema = {"type": "object", "required": [needed], "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
