"""gRPC's health checking protocol: a door is ready as the gateway's ``/health/ready`` is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc

from emotalk_client.errors import EmoTalkError
from emotalk_gateway.grpc.calls import Call
from emotalk_gateway.grpc.messages import message
from emotalk_gateway.service.errors import GatewayFull
from emotalk_gateway.service.health import Health
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import within

NAME = "grpc.health.v1.Health"
ANSWER = "grpc.health.v1.HealthCheckResponse"
WATCH_S = 2.0
"""Seconds between two looks on behalf of one that watches."""
MOST_WATCHERS = 64
"""At once; one more is told to come again."""


class DoorHealth:
    """Answers for the whole door (an empty name) and for each of ``services``."""

    def __init__(self, service: Service, services: tuple[str, ...]) -> None:
        self._stopping = service.stopping
        self._health = Health(service)
        self._services = {"", NAME, *services}
        self._watchers = 0

    async def check(self, request: Any, call: Call) -> Any:
        """Return SERVING or NOT_SERVING; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            await call.abort(grpc.StatusCode.NOT_FOUND, "there is no service of this name here")
        return await self._answer()

    async def watch(self, request: Any, call: Call) -> None:
        """Send the status, and every change of it, until the caller leaves or the gateway stops."""
        if self._watchers >= MOST_WATCHERS:
            raise GatewayFull(f"{MOST_WATCHERS} calls watch this door; accepted: no more at once")
        self._watchers += 1
        try:
            if request.service not in self._services:
                unknown = message(ANSWER)
                await call.write(unknown(status=unknown.SERVICE_UNKNOWN))
                await self._stopping.wait()
                return
            await self._tell(call)
        finally:
            self._watchers -= 1

    async def _tell(self, call: Call) -> None:
        said = None
        while True:
            ends = self._stopping.is_set()
            answer = await self._answer()
            if answer != said:
                await call.write(answer)
                said = answer
            if ends:
                return
            with suppress(asyncio.TimeoutError):
                await within(self._stopping.wait(), WATCH_S)

    async def _answer(self) -> Any:
        answer = message(ANSWER)
        try:
            await self._health.ready()
        except GatewayFull:  # those who are told to come again are served then
            return answer(status=answer.SERVING)
        except EmoTalkError:
            return answer(status=answer.NOT_SERVING)
        return answer(status=answer.SERVING)
