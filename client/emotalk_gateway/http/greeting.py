"""The gateway in a few words, for whoever asks for ``/`` and is not a browser."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from emotalk_gateway.http import sse

TITLE = "emotalk"


def version() -> str:
    """Return that of the package; ``unknown`` where it runs from a folder that was never installed."""
    try:
        return importlib.metadata.version("emotalk-triton")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def greeting() -> dict[str, Any]:
    """Return what the EmoTalk gateway and the Audio2Face streaming server say of themselves, together."""
    endpoints = {"health": "/health", "process_audio_stream": sse.PATH, "docs": "/docs"}
    return {
        "service": TITLE,
        "version": version(),
        "status": "running",
        "message": "emotalk is running.",
        "endpoints": endpoints,
    }
