"""The health of the gateway and of what lies behind it.

Rule that this module guards: **nothing that was true before is said again.** However many ask at once, the face server
is asked once, and each answer is given to those only who asked before it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from emotalk_client.errors import DeadlineExceeded
from emotalk_client.wire import health
from emotalk_gateway.service.errors import GatewayStopping
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import within

T = TypeVar("T")


class Health:
    """Checks of ``service``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        settings = service.settings
        client = service.client
        self._ready = _Shared(lambda: client.ready(settings.ready_timeout_s), settings.ready_timeout_s)
        self._deep = _Shared(client.health, settings.health_timeout_s)

    async def ready(self) -> None:
        """Return where one more upload would be served.

        Raises:
            GatewayStopping, GatewayFull, ServerError: it would not be.
        """
        if self._service.stopping.is_set():
            raise GatewayStopping("the gateway stops; try again later")
        self._service.uploads.check()
        await self._ready.asked()

    async def deep(self) -> health.Health:
        """Return what an inference found.

        Raises:
            ServerError: there is no face.
        """
        return await self._deep.asked()


class _Shared(Generic[T]):
    """``ask``, once for all who ask at the same time; each waits for ``allowed_s`` seconds."""

    def __init__(self, ask: Callable[[], Awaitable[T]], allowed_s: float) -> None:
        self._ask = ask
        self._allowed_s = allowed_s
        self._running: asyncio.Task[T] | None = None

    async def asked(self) -> T:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._in_time())
            self._running.add_done_callback(_seen)
        return await asyncio.shield(self._running)

    async def _in_time(self) -> T:
        try:
            return await within(self._ask(), self._allowed_s)
        except asyncio.TimeoutError as error:
            raise DeadlineExceeded(f"no answer within {self._allowed_s:g} s") from error


def _seen(checked: asyncio.Task[Any]) -> None:
    """Whoever asked may be gone; what went wrong is then nobody's to hear."""
    if not checked.cancelled():
        checked.exception()
