"""``POST /api/v1/convert``: frames in, a file in any of the formats out."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from emotalk_client.errors import UnknownFormat
from emotalk_client.faces.formats import FORMATS
from emotalk_client.threads import in_thread
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.timing import FPS
from emotalk_gateway.http.attachment import Attachment
from emotalk_gateway.http.uploads import body
from emotalk_gateway.listening.access import check_header
from emotalk_gateway.service.conversion import converted
from emotalk_gateway.service.frames import parsed
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.spool import Spool

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
        check_header(request, service, "animate")
        suffix = f".{format.lower()}"
        if suffix not in FORMATS:
            accepted = ", ".join(known.removeprefix(".") for known in FORMATS)
            raise UnknownFormat(f"format is {format!r}; accepted: {accepted}")
        FORMATS[suffix].check()
        service.uploads.check()
        with Spool(service.bodies) as spool:
            await body(request, spool)
            with service.uploads.admit():
                async with service.reading:
                    spool.file.seek(0)
                    animation = await in_thread(parsed, spool.file, service.settings.max_audio_s)
                content = await converted(animation, suffix, service.writing)
        return Attachment(content, f"{NAME}{suffix}")
