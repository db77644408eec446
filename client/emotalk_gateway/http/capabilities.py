"""``GET /api/v1/capabilities``: the facts that a page needs before it asks for a face."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from emotalk_client.errors import MissingExtra
from emotalk_client.faces.formats import FORMATS
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.limits import PERSONS
from emotalk_contract.timing import FPS
from emotalk_gateway.service.options import CLIP_OPTIONS
from emotalk_gateway.service.service import Service

PATH = "/api/v1/capabilities"


def add_capabilities(app: FastAPI, service: Service) -> None:
    """Add the route."""
    settings = service.settings
    facts: dict[str, Any] = {
        "names": BLENDSHAPES,
        "fps": FPS,
        "persons": PERSONS,
        "emotions": list(EMOTIONS),
        "options": CLIP_OPTIONS,
        "formats": sorted(suffix.removeprefix(".") for suffix in FORMATS if _writable(suffix)),
        "max_audio_s": settings.max_audio_s,
        "max_upload_bytes": settings.max_upload_bytes,
        "token": settings.token is not None,
    }

    @app.get(PATH, tags=["faces"])
    def capabilities() -> dict[str, Any]:
        """Names in the order of the frames, the rate, options, formats and limits; needs no token."""
        return facts


def _writable(suffix: str) -> bool:
    try:
        FORMATS[suffix].check()
    except MissingExtra:
        return False
    return True
