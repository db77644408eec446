"""``POST /api/v1/process-audio-stream``: an audio file in, Server-Sent Events out.

The format is WHATWG's (html.spec.whatwg.org, "Server-sent events"): each ``data:`` is one line of JSON, so the
browser's own EventSource parsers and a few lines around fetch both read it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_contract.timing import FPS
from emotalk_gateway.http.streaming import Streamed
from emotalk_gateway.http.uploads import Upload, form_schema, received
from emotalk_gateway.service.errors import Problem
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.options import CLIP_OPTIONS, animate_options
from emotalk_gateway.service.request import Face, FaceRequest
from emotalk_gateway.service.retiming import check_whole_rate
from emotalk_gateway.service.service import Service

PATH = "/api/v1/process-audio-stream"
PART = "file"
EVENT_FRAMES = 4 * FPS
"""Frames of one event, at most: a caller parses one while the next is written."""
RATE = f"frames per second, a whole number; default {FPS}"


def rows(face: Face, start: int, end: int) -> list[dict[str, object]]:
    """Return rows ``start`` to ``end`` of ``face``; orjson writes float32 as the shortest number that reads back."""
    seconds = face.timecodes[start:end].tolist()
    return [
        {"timecode": second, "blendshapes": row} for second, row in zip(seconds, face.weights[start:end], strict=True)
    ]


def event(data: object, name: str | None = None) -> bytes:
    """One event; without a name it is a ``message``."""
    head = b"" if name is None else f"event: {name}\n".encode()
    return head + b"data: " + orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n\n"


def add_sse(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post(
        PATH, tags=["faces"], response_class=Response, openapi_extra=form_schema(PART, {"fps": RATE, **CLIP_OPTIONS})
    )
    async def process_audio_stream(request: Request) -> Response:
        """Frames as windows finish: `data:` events with lists of `{timecode, blendshapes}`, then an `end` event."""
        return Streamed(service, _events(service, request), "text/event-stream", _last_words)


async def _events(service: Service, request: Request) -> AsyncGenerator[bytes, None]:
    async with received(service, request, PART) as upload:
        asked = _asked(upload)
        count, emotions = 0, None
        async with aclosing(faces(service, asked)) as computed:
            async for face in computed:
                count += len(face)
                emotions = face.emotions
                for start in range(0, len(face), EVENT_FRAMES):
                    yield event(rows(face, start, start + EVENT_FRAMES))
        heard = {} if emotions is None else {"emotions": emotions}
        yield event({"frames": count, "fps": asked.fps, **heard}, "end")


def _asked(upload: Upload) -> FaceRequest:
    given = dict(upload.fields)
    fps = check_whole_rate(given.pop("fps", FPS))
    return FaceRequest(PATH, upload.audio, animate_options(given), fps)


def _last_words(problem: Problem) -> bytes:
    return event(problem.body(), "error")
