"""``WS /ws/stream``: speech in as it is spoken, frames out as soon as they are final.

The caller's first message is ``start``; what follows is a :class:`~emotalk_gateway.http.conversation.Conversation`.

Rule that this module guards: **a connection is counted from the handshake on**: first among those that have not
started, of which only so many may be there and only for so long, then among the streams.
"""

from __future__ import annotations

import orjson
from fastapi import FastAPI
from starlette.websockets import WebSocket

from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.timing import FPS
from emotalk_gateway.http.conversation import Conversation, Line
from emotalk_gateway.http.messages import PATH, Start
from emotalk_gateway.http.pictured import Pictures, pictures
from emotalk_gateway.listening.access import check_origin
from emotalk_gateway.listening.conversing import converse
from emotalk_gateway.listening.sockets import STARTED
from emotalk_gateway.service.callers import ANYONE
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.errors import InvalidMessage, Problem, StartTooLate
from emotalk_gateway.service.service import Service


def add_websocket(app: FastAPI, service: Service) -> None:
    """Add the route."""
    starting = Capacity("connections that have not started", service.settings.max_starting)

    @app.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        await converse(service, socket, _Connection(service, starting, socket).serve(), _worded)


class _Connection:
    """One connection, from the handshake on."""

    def __init__(self, service: Service, starting: Capacity, socket: WebSocket) -> None:
        self._service = service
        self._starting = starting
        self._socket = socket
        self._line = Line(socket, service.settings.stream_idle_s)
        self._caller = ANYONE

    async def serve(self) -> None:
        await self._socket.accept()
        with self._starting.admit():
            start = await self._start()
        with self._service.access.stream(self._caller), self._service.streams.admit():
            if start.coding is None or start.look is None:
                await self._converse(start)
                return
            drawn = pictures(self._service, self._caller, start.coding, start.look, self._line.send)
            async with drawn as shown:
                await self._converse(start, shown)

    async def _converse(self, start: Start, shown: Pictures | None = None) -> None:
        conversation = Conversation(self._service, self._line, start, self._caller, shown)
        self._socket.scope[STARTED] = True
        video = {} if shown is None else {"video": shown.described()}
        await self._line.say({"type": "started", "names": BLENDSHAPES, "fps": FPS, **video})
        await conversation.run()

    async def _start(self) -> Start:
        settings = self._service.settings
        check_origin(self._socket, settings)
        allowed_s = settings.start_timeout_s
        message = await self._line.heard(
            allowed_s, StartTooLate(f"no start came within {allowed_s:g} s; accepted: one right after the handshake")
        )
        if not isinstance(message, dict) or message.get("type") != "start":
            raise InvalidMessage('the first message is not a start; accepted: {"type": "start", "sample_rate": …}')
        self._caller = self._service.access.caller(message.get("token"), "live")
        return Start.of(message)


def _worded(problem: Problem) -> str:
    return orjson.dumps({"type": "error", **problem.body()}).decode()
