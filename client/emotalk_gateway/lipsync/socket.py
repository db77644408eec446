"""One connection of the lip-sync server's WebSocket.

Rule that this module guards: **each request is answered once, in order, and a bad one is answered with an error**, not
with the end of the connection. A caller that does not read, or says nothing for long, is let go of.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from emotalk_client.errors import EmoTalkError
from emotalk_contract.errors import InvalidRequest
from emotalk_gateway.lipsync import dialect
from emotalk_gateway.listening.access import check_header, check_origin
from emotalk_gateway.listening.conversing import DONE, converse
from emotalk_gateway.listening.sockets import STARTED
from emotalk_gateway.service.callers import ANYONE
from emotalk_gateway.service.errors import InvalidMessage, Problem, StreamIdle
from emotalk_gateway.service.lipsync import CHUNK_SAMPLES, CHUNKS_AROUND, DEVICE, Drawn, LipSync
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import within

SOUND_CHUNKS = CHUNKS_AROUND + 1
"""Of 40 ms, that come with a request with sound: eight before the picture's own, and seven after it."""


class Connection:
    """From the handshake to the close."""

    def __init__(self, service: Service, lipsync: LipSync, socket: WebSocket) -> None:
        self._service = service
        self._lipsync = lipsync
        self._socket = socket
        self._caller = ANYONE

    async def run(self) -> None:
        """Serve it; raises nothing."""
        await converse(self._service, self._socket, self._serve(), _worded)

    async def _serve(self) -> None:
        await self._socket.accept()
        check_origin(self._socket, self._service.settings)
        self._caller = check_header(self._socket, self._service, "avatars")
        with self._service.access.stream(self._caller), self._service.streams.admit():
            self._socket.scope[STARTED] = True
            while True:
                said = await self._heard()
                began = time.perf_counter()
                try:
                    answer = await (self._picture(said) if isinstance(said, bytes) else self._json(said))
                except (EmoTalkError, InvalidRequest) as error:
                    problem = self._service.problem(error)
                    text = f"{problem.error}: {problem.message}"
                    ms = 1e3 * (time.perf_counter() - began)
                    answer = dialect.error(ms, text) if isinstance(said, bytes) else {"type": "error", "error": text}
                await self._say(answer)

    async def _heard(self) -> bytes | str:
        idle_s = self._service.settings.stream_idle_s
        try:
            message = await within(self._socket.receive(), idle_s)
        except asyncio.TimeoutError as error:
            raise StreamIdle(f"nothing came for {idle_s:g} s; accepted: at most {idle_s:g} s") from error
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", DONE))
        found: bytes | str = message["bytes"] if message.get("bytes") is not None else message["text"]
        return found

    async def _say(self, answer: bytes | dict[str, Any]) -> None:
        most_s = self._service.settings.send_timeout_s
        sending = (
            self._socket.send_bytes(answer)
            if isinstance(answer, bytes)
            else self._socket.send_text(orjson.dumps(answer).decode())
        )
        try:
            await within(sending, most_s)
        except asyncio.TimeoutError as error:
            raise StreamIdle(f"the caller took no answer for {most_s:g} s; accepted: at most {most_s:g} s") from error

    async def _picture(self, message: bytes) -> bytes:
        asked = dialect.parsed(message)
        drawn = await self._drawn(asked.name, asked.frame_id, asked.sound)
        return dialect.picture(drawn.frame_id, drawn.total_ms, drawn.jpeg, drawn.bounds)

    async def _drawn(self, name: str, frame_id: int, sound: bytes) -> Drawn:
        if not sound:
            return await self._lipsync.picture(self._caller, name, frame_id)
        size = len(sound) // SOUND_CHUNKS
        if size * SOUND_CHUNKS != len(sound):
            raise InvalidMessage(
                f"the sound has {len(sound)} bytes; accepted: {SOUND_CHUNKS} chunks of {CHUNK_SAMPLES} samples, int16 "
                "or float32"
            )
        chunks = [sound[at : at + size] for at in range(0, len(sound), size)]
        return (await self._lipsync.spoken(self._caller, name, frame_id, 1, chunks))[0]

    async def _json(self, text: str) -> bytes | dict[str, Any]:
        """Answer a message in JSON: what is loaded, or a picture or frame."""
        try:
            asked = orjson.loads(text)
        except ValueError as error:
            raise InvalidMessage("a text message is not JSON; accepted: an object") from error
        if not isinstance(asked, dict):
            raise InvalidMessage('a text message is not an object; accepted: {"model_name": …, "frame_id": …}')
        kind = asked.get("type", "inference")
        if kind in ("get_models", "list_models"):
            return {"type": "model_list", "models": [one.id for one in self._lipsync.loaded(self._caller)]}
        if kind in ("get_stats", "get_model_stats"):
            return {"type": "stats", "models": self._statistics(), "device": DEVICE}
        if kind not in ("inference", "get_video_frame", "get_metadata"):
            raise InvalidMessage(
                "type is not known; accepted: inference, get_video_frame, get_metadata, get_models, get_stats"
            )
        name, frame_id = asked.get("model_name"), asked.get("frame_id", 0)
        if not isinstance(name, str) or isinstance(frame_id, bool) or not isinstance(frame_id, int):
            raise InvalidMessage("model_name and frame_id are a text and a whole number")
        if not 0 <= frame_id <= dialect.MOST_U32:
            raise InvalidMessage(f"frame_id is {frame_id}; accepted: 0..{dialect.MOST_U32}")
        if kind == "get_metadata":
            loaded = await self._lipsync.load(self._caller, name)
            return {"type": "metadata", "model_name": name, "frame_count": loaded.frame_count}
        if kind == "get_video_frame":
            wanted = asked.get("video_type", "full_body")
            shown = await self._lipsync.frame(self._caller, name, frame_id, wanted if isinstance(wanted, str) else "")
            return dialect.frame(frame_id, wanted, shown)
        drawn = await self._lipsync.picture(self._caller, name, frame_id)
        return {
            "success": True,
            "prediction_data": b64encode(drawn.jpeg).decode(),
            "bounds": drawn.bounds,
            "processing_time_ms": round(drawn.total_ms),
            "model_name": name,
            "frame_id": frame_id,
        }

    def _statistics(self) -> dict[str, dict[str, float]]:
        return {
            one.id: {"total_requests": one.statistics.pictures, "average_time_ms": one.statistics.mean_ms}
            for one in self._lipsync.loaded(self._caller)
        }


def _worded(problem: Problem) -> bytes:
    return dialect.error(0, f"{problem.error}: {problem.message}")
