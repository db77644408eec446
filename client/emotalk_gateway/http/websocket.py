"""``WS /ws/stream``: speech in as it is spoken, frames out as soon as they are final.

The caller's first message is ``start``, then come binary blocks of PCM, and ``cancel`` or ``end``; frames come as JSON
or, where asked for, as rows of little-endian float32: [frame index, timecode, 52 weights].

Rule that this module guards: **a session ends with a message that says why.** One task listens to the caller and feeds
the session, another sends what comes out; whichever ends first ends both. A caller that sends faster than the server
computes is no longer read from once the session's backlog is full; one that does not read its frames is let go of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import orjson
from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from emotalk_client.faces.animation import Frame
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.live.settings import LiveOptions
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.timing import FPS
from emotalk_gateway.http.auth import check_origin, check_token
from emotalk_gateway.service.errors import INTERNAL, GatewayStopping, InvalidMessage, StreamIdle, StreamTooLong
from emotalk_gateway.service.options import live_options
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled

PATH = "/ws/stream"
PCM: dict[str, np.dtype[Any]] = {"int16": np.dtype("<i2"), "float32": np.dtype("<f4")}
"""Formats of the blocks, little-endian."""
FRAMES = ("json", "float32")
"""Formats of the frames."""
ROW = np.dtype("<f4")

DONE = 1000
"""Close code of a session that ended well (RFC 6455)."""

T = TypeVar("T")


def add_websocket(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        await _Stream(service, socket).run()


@dataclass(frozen=True, slots=True)
class Start:
    """The first message, checked."""

    sample_rate: int
    pcm: np.dtype[Any]
    binary: bool
    options: LiveOptions

    @classmethod
    def of(cls, message: dict[str, Any]) -> Start:
        """Errors: InvalidMessage, InvalidRequest, and later, from the session, InvalidAudio for the rate."""
        known = {"type", "sample_rate", "format", "frames", "options", "token"}
        if unknown := sorted(set(message) - known):
            raise InvalidMessage(f"start has {', '.join(unknown)}; accepted: {', '.join(sorted(known))}")
        options = message.get("options") or {}
        if not isinstance(options, dict):
            raise InvalidMessage(f"options is {options!r}; accepted: an object")
        return cls(
            message.get("sample_rate"),  # type: ignore[arg-type]  # the session says what it accepts
            PCM[_choice(message, "format", tuple(PCM))],
            _choice(message, "frames", FRAMES) == "float32",
            live_options(options),
        )


def _choice(message: dict[str, Any], name: str, accepted: Sequence[str]) -> str:
    value = message.get(name, accepted[0])
    if value not in accepted:
        raise InvalidMessage(f"{name} is {value!r}; accepted: {', '.join(accepted)}")
    return str(value)


def rows(frames: Sequence[Frame]) -> bytes:
    """``frames`` as little-endian float32 [F, 54]: index, timecode, weights."""
    table = np.empty((len(frames), 2 + len(BLENDSHAPES)), ROW)
    for row, frame in zip(table, frames, strict=True):
        row[0], row[1], row[2:] = frame.index, frame.timecode, frame.weights
    return table.tobytes()


def objects(frames: Sequence[Frame]) -> bytes:
    """``frames`` as JSON."""
    listed = [{"frame": f.index, "timecode": f.timecode, "blendshapes": f.weights} for f in frames]
    return orjson.dumps({"type": "frames", "frames": listed}, option=orjson.OPT_SERIALIZE_NUMPY)


class _Stream:
    """One connection."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service = service
        self._socket = socket
        self._sent = 0

    async def run(self) -> None:
        """From the handshake to the close."""
        await self._socket.accept()
        work = asyncio.create_task(self._serve())
        stopping = asyncio.create_task(self._service.stopping.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                await self._close(DONE)
            else:
                await cancelled(work)
                await self._refuse(GatewayStopping("the gateway stops; try again later"))
        except WebSocketDisconnect:
            pass
        except Exception as error:  # noqa: BLE001  # said to the caller, and logged
            await self._refuse(error)
        finally:
            await cancelled(work, stopping)

    async def _serve(self) -> None:
        settings = self._service.settings
        check_origin(self._socket, settings)
        message = await self._message()
        if not isinstance(message, dict) or message.get("type") != "start":
            raise InvalidMessage('the first message is no start; accepted: {"type": "start", "sample_rate": …}')
        check_token(message.get("token"), settings)
        start = Start.of(message)
        with self._service.streams.admit():
            session = self._service.client.live(sample_rate=start.sample_rate, **start.options)
            async with session:
                await self._say({"type": "started", "names": BLENDSHAPES, "fps": FPS})
                await self._converse(session, start)

    async def _converse(self, session: AsyncLiveSession, start: Start) -> None:
        listening = asyncio.create_task(self._listen(session, start))
        speaking = asyncio.create_task(self._speak(session, start.binary))
        try:
            await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (speaking, listening):
                if task.done():
                    task.result()
            fade = listening.result()
        finally:
            await cancelled(listening, speaking)
        if fade is not None:
            await self._send_frames(fade, start.binary)
        await self._say({"type": "end" if fade is None else "cancelled", "frames": self._sent})

    async def _listen(self, session: AsyncLiveSession, start: Start) -> list[Frame] | None:
        """Feed ``session`` until the caller ends it; the frames of a fade where it was cancelled."""
        spoken, most = 0, self._service.settings.max_stream_s * start.sample_rate
        while True:
            message = await self._message()
            if isinstance(message, bytes):
                if len(message) % start.pcm.itemsize:
                    raise InvalidMessage(
                        f"a block has {len(message)} bytes; accepted: whole samples of {start.pcm.itemsize} bytes"
                    )
                samples = np.frombuffer(message, start.pcm)
                spoken += len(samples)
                if spoken > most:
                    raise StreamTooLong(
                        f"{spoken / start.sample_rate:.1f} s were spoken; accepted: at most "
                        f"{self._service.settings.max_stream_s:g} s in one session"
                    )
                await session.feed(samples)
            elif message.get("type") == "end":
                await session.finish()
                return None
            elif message.get("type") == "cancel":
                return await session.cancel(message.get("fade_s", 0.0))
            else:
                raise InvalidMessage(
                    f"a message of type {message.get('type')!r} came; accepted: binary blocks, cancel, end"
                )

    async def _speak(self, session: AsyncLiveSession, binary: bool) -> None:
        while frames := await session.receive():
            await self._send_frames(frames, binary)

    async def _send_frames(self, frames: Sequence[Frame], binary: bool) -> None:
        if not frames:
            return
        self._sent += len(frames)
        self._service.metrics.frames(PATH, len(frames))
        if binary:
            await self._in_time(self._socket.send_bytes(rows(frames)), "took no frames")
        else:
            await self._in_time(self._socket.send_text(objects(frames).decode()), "took no frames")

    async def _message(self) -> dict[str, Any] | bytes:
        """The caller's next: an object, or a block.

        Raises:
            InvalidMessage, StreamIdle, WebSocketDisconnect: it is neither, or does not come.
        """
        message = await self._in_time(self._socket.receive(), "said nothing")
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", INTERNAL))
        block: bytes | None = message.get("bytes")
        if block is not None:
            return block
        try:
            said = orjson.loads(message.get("text") or "")
        except orjson.JSONDecodeError as error:
            raise InvalidMessage(f"a message is no JSON ({error}); accepted: objects, and binary blocks") from error
        if not isinstance(said, dict):
            raise InvalidMessage(f"a message is a {type(said).__name__}; accepted: objects, and binary blocks")
        return said

    async def _in_time(self, work: Awaitable[T], what: str) -> T:
        most = self._service.settings.stream_idle_s
        try:
            return await asyncio.wait_for(work, most)
        except asyncio.TimeoutError as error:
            raise StreamIdle(f"the caller {what} for {most:g} s; the session is over") from error

    async def _say(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(orjson.dumps(message).decode())

    async def _refuse(self, error: Exception) -> None:
        problem = self._service.problem(error)
        try:
            await asyncio.wait_for(self._say({"type": "error", **problem.body()}), 1.0)
        except (asyncio.TimeoutError, RuntimeError, WebSocketDisconnect):
            return  # gone, or not listening
        await self._close(problem.close_code, problem.error)

    async def _close(self, code: int, reason: str | None = None) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.close(code, reason)
