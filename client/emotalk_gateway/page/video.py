"""The page at ``/video``: a face that the gateway draws, for browsers that cannot."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response

from emotalk_gateway.page.viewer import STATIC

PATH = "/video"
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "base-uri 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "Referrer-Policy": "no-referrer",
}


def add_video_page(app: FastAPI) -> None:
    """Add the page; its scripts are the viewer's."""

    @app.get(PATH, include_in_schema=False)
    async def video() -> Response:
        return FileResponse(STATIC / "video.html", media_type="text/html", headers=_HEADERS)
