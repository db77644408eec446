"""``POST /api/v1/convert``: frames in, a file in any of the formats out."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_client.errors import UnknownFormat
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS
from emotalk_client.faces.resampling import check_rate
from emotalk_client.settings import is_number
from emotalk_client.threads import in_thread
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.timing import FPS
from emotalk_gateway.http.auth import check_header
from emotalk_gateway.service.errors import ClipTooLong, InvalidFrames
from emotalk_gateway.service.service import Service

PATH = "/api/v1/convert"
NAME = "face"
"""Of the attachment, before its suffix."""
_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["blendshapes"],
                    "properties": {
                        "fps": {"type": "number", "default": FPS},
                        "timecode": {"type": "number", "default": 0.0, "description": "seconds of the first frame"},
                        "blendshapes": {
                            "type": "array",
                            "items": {"type": "array", "items": {"type": "number"}},
                            "description": f"frames of {BLENDSHAPE_COUNT} weights",
                        },
                    },
                }
            }
        },
    }
}


def add_convert(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post(PATH, tags=["faces"], response_class=Response, openapi_extra=_SCHEMA)
    async def convert(request: Request, format: str = "") -> Response:  # noqa: A002  # the query's name
        """The frames of the body as a file in `format`."""
        check_header(request, service.settings)
        suffix = f".{format.lower()}"
        if suffix not in FORMATS:
            accepted = ", ".join(known.removeprefix(".") for known in FORMATS)
            raise UnknownFormat(f"format is {format!r}; accepted: {accepted}")
        FORMATS[suffix].check()
        with service.uploads.admit():
            body = await request.body()
            async with service.uploads.run():
                content = await in_thread(_converted, body, suffix, service.settings.max_audio_s)
        return Response(
            content,
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{NAME}{suffix}"'},
        )


def _converted(body: bytes, suffix: str, max_s: float) -> bytes:
    animation = parsed(body, max_s)
    with tempfile.TemporaryDirectory() as folder:  # formats write by names; this one says nothing of the caller
        path = Path(folder) / f"{NAME}{suffix}"
        FORMATS[suffix].write(animation, path)
        return path.read_bytes()


def parsed(body: bytes, max_s: float) -> Animation:
    """The animation in ``body``, a JSON object with ``fps``, ``timecode`` (both may be left out) and ``blendshapes``.

    Raises:
        InvalidFrames: it is none.
        InvalidRate: ``fps`` is no rate.
        ClipTooLong: it is longer than ``max_s`` seconds.
    """
    try:
        given: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidFrames(f"the body is no JSON ({error}); accepted: {_ACCEPTED}") from error
    if not isinstance(given, dict) or not isinstance(given.get("blendshapes"), list):
        raise InvalidFrames(f"the body has no list of blendshapes; accepted: {_ACCEPTED}")
    fps, start = check_rate(given.get("fps", FPS)), given.get("timecode", 0.0)
    if not (is_number(start) and math.isfinite(start)):
        raise InvalidFrames(f"timecode is {start!r}; accepted: seconds")
    if len(given["blendshapes"]) > max_s * fps:
        raise ClipTooLong(f"the clip is {len(given['blendshapes']) / fps:.1f} s long; accepted: at most {max_s:g} s")
    try:
        with np.errstate(over="ignore"):  # what overflows is infinite, which is refused below
            weights = np.array(given["blendshapes"], np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidFrames(f"blendshapes are no rows of {BLENDSHAPE_COUNT} numbers; accepted: {_ACCEPTED}") from error
    if weights.ndim != 2 or weights.shape[1] != BLENDSHAPE_COUNT or not np.isfinite(weights).all():
        raise InvalidFrames(f"blendshapes have shape {list(weights.shape)}, or are not finite; accepted: {_ACCEPTED}")
    return Animation(weights, start + np.arange(len(weights)) / fps, fps)


_ACCEPTED = f'{{"fps": {FPS}, "timecode": 0.0, "blendshapes": [[{BLENDSHAPE_COUNT} numbers], …]}}'
