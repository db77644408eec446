"""A file as an answer."""

from __future__ import annotations

import os
from typing import BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from emotalk_client.threads import in_thread

PIECE = 64 * 1024
"""Bytes that are read and sent at once."""


class Attachment(Response):
    """``content`` as an attachment called ``name``; read a piece at a time, and closed in any case."""

    def __init__(self, content: BinaryIO, name: str, media_type: str = "application/octet-stream") -> None:
        self._content = content
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers({"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Send it."""
        with self._content:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while piece := await in_thread(self._content.read, PIECE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
