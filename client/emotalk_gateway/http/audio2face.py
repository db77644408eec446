"""``POST /process-audio/``, as callers of an Audio2Face streaming server know it: JSON lines, a chunk a line.

Its callers take line n for what is heard from 2 n seconds on, and name emotions that there may not be here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_client.faces.formats.audio2face import document
from emotalk_contract.checking import from_json
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.limits import MAX_OPTION_CHARACTERS
from emotalk_contract.timing import FPS
from emotalk_gateway.http.streaming import Streamed
from emotalk_gateway.http.uploads import Upload, form_schema, received
from emotalk_gateway.service.errors import Problem
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.options import CLIP_OPTIONS, animate_options
from emotalk_gateway.service.rate import LEAST
from emotalk_gateway.service.request import Face, FaceRequest
from emotalk_gateway.service.retiming import check_whole_rate
from emotalk_gateway.service.service import Service

PATH = "/process-audio/"
PART = "audio_file"
CHUNK_S = 2
"""Seconds of each line but the last."""
RATE = f"frames per second, a whole number; default: what the server can hold, {LEAST} to {FPS}"


def line(content: object) -> bytes:
    """One line of JSON."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def add_audio2face(app: FastAPI, service: Service) -> None:
    """Add the route."""
    parameters = [{"name": "fps", "in": "query", "description": RATE, "schema": {"type": "integer"}}]

    @app.post(
        PATH,
        tags=["faces"],
        response_class=Response,
        openapi_extra={**form_schema(PART, {"fps": RATE, **CLIP_OPTIONS}), "parameters": parameters},
    )
    async def process_audio(request: Request) -> Response:
        """Lines `{"chunk_id", "result"}`, one for each 2 s; each result is an Audio2Face export of its frames."""
        return Streamed(service, _lines(service, request), "application/x-ndjson", _last_words)


async def _lines(service: Service, request: Request) -> AsyncGenerator[bytes, None]:
    async with received(service, request, PART) as upload:
        asked = _asked(upload, request.query_params)
        chunks = Chunks()
        async with aclosing(faces(service, asked)) as computed:
            async for face in computed:
                for number, chunk in chunks.push(face):
                    yield _chunk(number, chunk)
        for number, chunk in chunks.flush():
            yield _chunk(number, chunk)


def _chunk(number: int, face: Face) -> bytes:
    result = document(face.animation)
    result["weightMat"] = np.ascontiguousarray(result["weightMat"])  # orjson takes no other
    return line({"chunk_id": number, "result": result})


class Chunks:
    """Blocks of a face of any length in, blocks of :data:`CHUNK_S` seconds with their numbers out. No I/O."""

    def __init__(self) -> None:
        self._held: list[Face] = []
        self._number = 0

    def push(self, face: Face) -> Iterator[tuple[int, Face]]:
        """Yield the chunks that are whole now that ``face`` has come."""
        frames = CHUNK_S * face.fps
        self._held.append(face)
        while sum(map(len, self._held)) >= frames:
            yield from self._cut(frames)

    def flush(self) -> Iterator[tuple[int, Face]]:
        """Yield what is left at the end, if anything."""
        if self._held:
            yield from self._cut(sum(map(len, self._held)))

    def _cut(self, frames: int) -> Iterator[tuple[int, Face]]:
        first = self._held[0]
        weights = np.concatenate([face.weights for face in self._held])
        left = weights[frames:]
        self._held = [replace(first, start=first.start + frames, weights=left)] if len(left) else []
        yield self._number, replace(first, weights=weights[:frames])
        self._number += 1


def _asked(upload: Upload, query: Mapping[str, str]) -> FaceRequest:
    given = {**upload.fields, **query}
    rate = given.pop("fps", None)
    fps = check_whole_rate(rate) if rate is not None else None
    if "emotions" in given:
        amounts = from_json("emotions", given["emotions"], dict, '{"joy": 0.8}', MAX_OPTION_CHARACTERS)
        given["emotions"] = json.dumps({name: amount for name, amount in amounts.items() if name in EMOTIONS})
    return FaceRequest(PATH, upload.audio, animate_options(given), fps)


def _last_words(problem: Problem) -> bytes:
    return line(problem.body())
