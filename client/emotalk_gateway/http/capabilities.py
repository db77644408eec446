"""``GET /api/v1/capabilities``: the facts that a page needs before it asks for a face."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI

from emotalk_client.errors import EmoTalkError, MissingExtra
from emotalk_client.faces.formats import FORMATS
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS
from emotalk_gateway.service.options import CLIP_OPTIONS
from emotalk_gateway.service.service import Service

ASKING_S = 1.0
"""Seconds that the answer waits for the server."""
PATH = "/api/v1/capabilities"


def add_capabilities(app: FastAPI, service: Service) -> None:
    """Add the route."""
    settings = service.settings
    facts: dict[str, Any] = {
        "names": BLENDSHAPES,
        "fps": FPS,
        "emotions": list(EMOTIONS),
        "options": CLIP_OPTIONS,
        "formats": sorted(suffix.removeprefix(".") for suffix in FORMATS if _writable(suffix)),
        "max_audio_s": settings.max_audio_s,
        "max_upload_bytes": settings.max_upload_bytes,
        "max_text_characters": settings.max_text_characters,
        "token": service.access.asked,
        "avatars": service.avatars.on,
    }

    @app.get(PATH, tags=["faces"])
    async def capabilities() -> dict[str, Any]:
        """Names in the order of the frames, rate, persons, emotions, options, formats and limits; needs no token."""
        recipe = await _recipe(service)
        return facts | {
            "persons": recipe.styles,
            "levels": recipe.emotional,
            "detected_emotions": recipe.detected_emotions,
        }


async def _recipe(service: Service) -> Recipe:
    """The served model's; while the server does not say, the usual one, for a page must open all the same."""
    try:
        return Recipe.from_strings(await asyncio.wait_for(service.client.describe(), ASKING_S))
    except (asyncio.TimeoutError, EmoTalkError, KeyError, ValueError):
        return Recipe()


def _writable(suffix: str) -> bool:
    try:
        FORMATS[suffix].check()
    except MissingExtra:
        return False
    return True
