"""An answer that is sent as it is computed.

Rule that this module guards: **what is wrong before the first frame has a status of its own.** The status is chosen
when the first piece is there; what fails later is said in the stream itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from emotalk_gateway.listening.lifetime import SCOPE_KEY, OneRequest
from emotalk_gateway.service.errors import Problem
from emotalk_gateway.service.service import Service


class Streamed(Response):
    """``pieces`` as the body.

    Args:
        pieces: holds what the request holds; closed in any case.
        media_type: of the body.
        last_words: how a problem is said within the body.
    """

    def __init__(
        self,
        service: Service,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        last_words: Callable[[Problem], bytes],
    ) -> None:
        self._service = service
        self._pieces = pieces
        self._last_words = last_words
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        # X-Accel-Buffering: nginx passes the pieces on as they come.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    def init_headers(self, headers: dict[str, str] | None = None) -> None:  # type: ignore[override]  # no body: no length
        """Those of a body whose length nobody knows yet."""
        charset = "" if str(self.media_type).startswith("audio/") else "; charset=utf-8"
        pairs = {"content-type": f"{self.media_type}{charset}", **(headers or {})}
        self.raw_headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Send it."""
        async with aclosing(self._pieces) as pieces:
            piece = await anext(pieces, None)
            request: OneRequest = scope[SCOPE_KEY]
            request.last_words = self._last_words
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while piece is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                try:
                    piece = await anext(pieces, None)
                except Exception as error:  # noqa: BLE001  # said to the caller, and logged
                    await send({"type": "http.response.body", "body": self._last_words(self._service.problem(error))})
                    return
            await send({"type": "http.response.body", "body": b""})
