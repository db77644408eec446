"""The page at ``/``: a face that speaks.

Rule that this module guards: **the page needs nothing but this host.** Its scripts, three.js and the head come from the
package, and the Content-Security-Policy lets the browser ask nobody else, nor run anything that is not in it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from emotalk_client.faces import head, vocabularies
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.head.own import PACKED, SPOKEN, OwnHead
from emotalk_client.faces.life import SMALL
from emotalk_contract import limits

STATIC = Path(__file__).parent / "static"

FRESH = {"Cache-Control": "no-cache"}
"""A browser may keep it, but asks each time whether it is still so: no page of one version with scripts of another."""
_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class ShownResult:
    """A face that was made before, and its sound."""

    face: Animation
    audio: Path
    """A file that exists; it is sent as it is."""
    title: str
    """Name of the result on the page."""
    head: OwnHead | None = None
    """The one that speaks instead of the packaged head."""


def add_viewer(app: FastAPI, result: ShownResult | None = None, greeting: Mapping[str, Any] | None = None) -> None:
    """Add the page to ``app``: ``GET /``, ``/static/…``, ``/head.glb``, ``/vocabularies.json``.

    Whoever asks for ``/`` and takes no HTML gets ``greeting`` as JSON, if there is one.

    Without ``result`` the page asks the gateway's other routes for faces. With one it shows that, and adds
    ``GET /result/frames.json``, ``GET /result/audio`` (in ranges, where the browser asks for them) and, where another
    head speaks, ``GET /result/head``.
    """
    page = _page(result)
    headers = FRESH | {
        "Content-Security-Policy": policy(page),
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept",
    }

    @app.get("/", include_in_schema=False)
    async def viewer(request: Request) -> Response:
        if greeting is not None and "text/html" not in request.headers.get("accept", ""):
            return JSONResponse(greeting, headers={"Vary": "Accept"})
        return HTMLResponse(page, headers=headers)

    @app.get("/head.glb", include_in_schema=False)
    async def head_file() -> Response:
        return FileResponse(head.path(), media_type="model/gltf-binary", headers=FRESH)

    @app.get("/vocabularies.json", include_in_schema=False)
    async def vocabularies_file() -> Response:
        return JSONResponse(vocabularies.table() | {"spoken": SPOKEN, "packed": PACKED}, headers=FRESH)

    app.mount("/static", _FreshFiles(directory=STATIC), name="static")
    if result is not None:
        _add_result(app, result)


def _add_result(app: FastAPI, result: ShownResult) -> None:
    frames = orjson.dumps(frames_document(result.face))

    @app.get("/result/frames.json", include_in_schema=False)
    async def result_frames() -> Response:
        return Response(frames, media_type="application/json")

    @app.get("/result/audio", include_in_schema=False)
    async def result_audio() -> Response:
        return FileResponse(result.audio)

    if (own := result.head) is not None:

        @app.get("/result/head", include_in_schema=False)
        async def result_head() -> Response:
            return Response(own.content, media_type="model/gltf-binary")


def frames_document(face: Animation) -> dict[str, Any]:
    """``face`` as the page reads it, from 0 and without gaps: names, fps, timecode 0, blendshapes [F][52], and
    rotations [F][9] where the head moves.
    """
    even = face.even()
    turned = {} if even.rotations is None else {"rotations": even.rotations.tolist()}
    weights = even.weights.tolist()
    return {"names": list(even.names), "fps": even.fps, "timecode": 0.0, "blendshapes": weights, **turned}


class _FreshFiles(StaticFiles):
    """Static files that browsers ask about again."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(FRESH)
        return response


def _page(result: ShownResult | None) -> str:
    """The page, with what it has to know before it can ask."""
    facts: Mapping[str, Any] = {
        "result": None if result is None else {"title": result.title, "head": result.head and result.head.name},
        "level": limits.DEFAULT_LEVEL,
        "person": limits.DEFAULT_PERSON,
        "life": {"head": SMALL.head, "gaze": SMALL.gaze, "idle": SMALL.idle, "seed": SMALL.seed},
    }
    return _template().substitute(facts=html.escape(json.dumps(facts)))


@cache
def _template() -> Template:
    return Template((STATIC / "index.html").read_text("utf-8"))


def policy(page: str) -> str:
    """The Content-Security-Policy (W3C, level 3); the one inline script, the import map, is named by its hash."""
    found = _IMPORT_MAP.search(page)
    digest = hashlib.sha256(found[1].encode() if found else b"").digest()
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'sha256-{base64.b64encode(digest).decode()}'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "media-src 'self' blob:",  # a file that was dropped, and what was spoken
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
