"""How many are served at once.

Rule that this module guards: **whoever is let in is served, and whoever is not is told at once.** All state lives on
one event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from emotalk_gateway.service.errors import GatewayFull


class Admission:
    """A door with ``most`` places inside, of which ``turns`` are at work and the others wait in line.

    Args:
        what: for messages.
    """

    def __init__(self, what: str, most: int, turns: int | None = None) -> None:
        self._what = what
        self._most = most
        self._turns = asyncio.Semaphore(most if turns is None else turns)
        self._inside = 0
        self._waiting = 0

    @property
    def inside(self) -> int:
        """How many were let in and have not left."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many of them wait for their turn."""
        return self._waiting

    @property
    def full(self) -> bool:
        """Whether one more would be turned away."""
        return self._inside >= self._most

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place inside, for as long as the block lasts.

        Raises:
            GatewayFull: all are taken.
        """
        if self.full:
            raise GatewayFull(f"{self._inside} {self._what} are being served; accepted: {self._most} at once")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn at work, first come, first served."""
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()
