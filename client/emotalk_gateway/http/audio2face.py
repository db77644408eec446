"""``POST /process-audio/``, as callers of an Audio2Face streaming server know it: JSON lines, a chunk a line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import numpy as np
import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_client.faces.formats.audio2face import document
from emotalk_contract.timing import FPS
from emotalk_gateway.http.streaming import Streamed
from emotalk_gateway.http.uploads import Upload, form_schema, received
from emotalk_gateway.service.errors import Problem
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.options import CLIP_OPTIONS, animate_options
from emotalk_gateway.service.rate import LEAST
from emotalk_gateway.service.request import FaceRequest
from emotalk_gateway.service.retiming import check_whole_rate
from emotalk_gateway.service.service import Service

PATH = "/process-audio/"
PART = "audio_file"
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
        """Lines `{"chunk_id", "result"}` as windows finish; each result is an Audio2Face export of its frames."""
        return Streamed(service, _lines(service, request), "application/x-ndjson", _last_words)


async def _lines(service: Service, request: Request) -> AsyncGenerator[bytes, None]:
    async with received(service, request, PART) as upload:
        asked = _asked(upload, request.query_params)
        chunk = 0
        async with aclosing(faces(service, asked)) as computed:
            async for face in computed:
                result = document(face.animation)
                result["weightMat"] = np.ascontiguousarray(result["weightMat"])  # orjson takes no other
                yield line({"chunk_id": chunk, "result": result})
                chunk += 1


def _asked(upload: Upload, query: Mapping[str, str]) -> FaceRequest:
    given = {**upload.fields, **query}
    rate = given.pop("fps", None)
    fps = check_whole_rate(rate) if rate is not None else None
    return FaceRequest(PATH, upload.audio, animate_options(given), fps)


def _last_words(problem: Problem) -> bytes:
    return line(problem.body())
