"""``ProcessAudio`` and ``HealthCheck``.

Rule that this module guards: **a call that fails says why in its last answer**, and ends with OK, as callers of this
service expect; they read ``error_message``. And **what is taken in at once is bounded**: a request has up to 100 MiB,
so each is read only when there is room.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

from emotalk_client.errors import EmoTalkError
from emotalk_client.threads import in_thread
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_gateway.grpc.calls import Call
from emotalk_gateway.grpc.emotalk.asked import Asked
from emotalk_gateway.grpc.emotalk.chunks import Chunks
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service.durations import check_duration
from emotalk_gateway.service.errors import GatewayStopping, InvalidUpload, RequestTooSlow
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.health import Health
from emotalk_gateway.service.request import FaceRequest
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.spool import Spool
from emotalk_gateway.service.tasks import cancelled, within

NAME = "emotalk.EmoTalkService"
ROUTE = f"/{NAME}/ProcessAudio"
MIB = 2**20
MOST_MESSAGE_BYTES = 100 * MIB
READ_AT_ONCE = 8
"""Requests that are being taken in, each with up to so many bytes in memory."""
READ_S = 60.0
"""Seconds in which a request must be there once it is taken in."""
FAREWELL_S = 1.0
"""Seconds in which the last answer must be taken."""
PIECE = 256 * 1024
"""Bytes that are written to a spool at once."""


def is_whole(_request: Any) -> bool:
    """Return True: a call has one message."""
    return True


class EmoTalkService:
    """Makes faces for all callers of one door."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._health = Health(service)
        self._reading = asyncio.Semaphore(READ_AT_ONCE)

    async def health(self, _request: Any, _call: Call) -> Any:
        """Return SERVING where one more call would be served, else NOT_SERVING."""
        answer = message("emotalk.HealthCheckResponse")
        try:
            await self._health.ready()
        except EmoTalkError:
            return answer(status=answer.NOT_SERVING)
        return answer(status=answer.SERVING)

    async def process(self, call: Call) -> None:
        """Answer one call.

        Raises:
            RequestTooSlow: its caller takes no answers.
        """
        one = _OneCall(self._service, call, self._reading)
        work = asyncio.create_task(one.run())
        stopping = asyncio.create_task(self._service.stopping.wait())
        most_s = self._service.settings.request_timeout_s
        try:
            await asyncio.wait({work, stopping}, timeout=most_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return
            await cancelled(work)
            error = (
                GatewayStopping("the gateway stops; try again later")
                if stopping.done()
                else RequestTooSlow(f"the call took longer than the {most_s:g} s it may take")
            )
            await one.fail(error)
        except _NotTaken as error:
            raise RequestTooSlow(str(error)) from error
        except Exception as error:  # noqa: BLE001  # the caller is told
            await one.fail(error)
        finally:
            await cancelled(work, stopping)


class _NotTaken(Exception):
    """The caller takes no answers; it would not take one that says so either."""


class _OneCall:
    def __init__(self, service: Service, call: Call, reading: asyncio.Semaphore) -> None:
        self._service = service
        self._call = call
        self._reading = reading
        self._chunks = Chunks("", 1.0)

    async def run(self) -> None:
        service = self._service
        service.uploads.check()
        with Spool(service.bodies) as spool:
            asked = await self._taken_in(spool)
            with service.uploads.admit():
                async with service.reading:
                    samples = await in_thread(check_duration, spool.file, service.settings.max_audio_s)
                service.access.clip(self._call.caller, samples / SAMPLE_RATE)
                recipe = Recipe.from_strings(await service.client.describe())
                request = FaceRequest(ROUTE, spool.file, asked.options(recipe))
                async with aclosing(faces(service, request)) as computed:
                    async for face in computed:
                        for chunk in self._chunks.push(face.weights):
                            await self._write(chunk)
                await self._write(self._chunks.flush())

    async def fail(self, error: BaseException) -> None:
        """Say ``error`` in the last answer."""
        problem = self._service.problem(error)
        with suppress(asyncio.TimeoutError):
            await within(self._call.write(self._chunks.failed(f"{problem.error}: {problem.message}")), FAREWELL_S)

    async def _taken_in(self, spool: Spool) -> Asked:
        async with self._reading:
            try:
                request = await self._call.first(READ_S)
            except asyncio.TimeoutError as error:
                raise RequestTooSlow(f"the request did not come within {READ_S:g} s") from error
            if request is None:
                raise InvalidUpload("the call has no request; accepted: one AudioRequest")
            asked = Asked.of(request)
            self._chunks = Chunks(asked.request_id, asked.step_s)
            sound = request.audio_data
            if not sound:
                raise InvalidUpload("audio_data is empty; accepted: an audio file")
            await in_thread(_spooled, sound, spool)
        return asked

    async def _write(self, answer: Any) -> None:
        most = self._service.settings.send_timeout_s
        try:
            await within(self._call.write(answer), most)
        except asyncio.TimeoutError as error:
            raise _NotTaken(f"the caller took no answer for {most:g} s; accepted: at most {most:g} s") from error


def _spooled(sound: bytes, spool: Spool) -> None:
    for first in range(0, len(sound), PIECE):
        spool.write(sound[first : first + PIECE])
    spool.file.seek(0)
