"""The number that is served at once.

Rule that this module guards: **whoever is admitted is served, and whoever is not is told at once.** Of those that are
admitted, some run and the others wait. Those that have not run yet and those that wait to run on take turns, so that
what is short does not wait for all that is long, nor the other way round. All state lives on one event loop, so that
nothing is locked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from emotalk_gateway.service.errors import GatewayFull


class Capacity:
    """Admits ``most`` at once, of which ``running`` run and the others wait.

    Args:
        what: for messages.
    """

    def __init__(self, what: str, most: int, running: int | None = None) -> None:
        self._what = what
        self._most = most
        self._free = most if running is None else running
        self._lines: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())  # to run on, and for the first time
        self._first = True  # whose turn it is
        self._admitted = 0
        self._aside = 0

    @property
    def admitted(self) -> int:
        """Admitted, and not done yet."""
        return self._admitted

    @property
    def waiting(self) -> int:
        """Admitted, and waiting to run."""
        return sum(not one.done() for line in self._lines for one in line)

    @property
    def full(self) -> bool:
        """True where one more would be refused."""
        return self._admitted >= self._most

    def check(self) -> None:
        """Raise :class:`GatewayFull` where one more would be refused."""
        if self.full:
            raise GatewayFull(f"{self._admitted} {self._what} are being served; accepted: {self._most} at once")

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count as admitted for as long as the block lasts.

        Raises:
            GatewayFull: as many as may be are admitted already.
        """
        self.check()
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Running]:
        """Wait, and run for as long as the block lasts."""
        running = Running(self)
        await running.resume()
        try:
            yield running
        finally:
            running.pause()

    async def _take(self, first: bool) -> None:
        if self._free > 0 and not self.waiting:
            self._free -= 1
            return
        granted = asyncio.get_running_loop().create_future()
        self._lines[first].append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._give()
            raise

    def _give(self) -> None:
        """One more may run: it is the next in one line or the other."""
        self._free += 1
        for first in (self._first, not self._first):
            line = self._lines[first]
            while line:
                granted = line.popleft()
                if not granted.done():
                    self._first = not first
                    self._free -= 1
                    granted.set_result(None)
                    return


class Running:
    """One that runs, and may pause: others run, and are admitted, meanwhile."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._runs = False
        self._is_new = True
        self._is_aside = False
        self._since = 0.0

    def pause(self) -> None:
        """Let others run; nothing happens where it is paused already."""
        if self._runs:
            self._runs = False
            self._capacity._give()

    async def resume(self) -> None:
        """Wait to run again; at once where it was not paused."""
        if not self._runs:
            await self._capacity._take(self._is_new)
            self._runs, self._is_new = True, False
            self._since = asyncio.get_running_loop().time()

    async def share(self, seconds: float) -> None:
        """Let those who wait run first, where this one has run for ``seconds`` since it last waited."""
        if self._capacity.waiting and asyncio.get_running_loop().time() - self._since >= seconds:
            self.pause()
            await self.resume()

    @asynccontextmanager
    async def paused_after(self, seconds: float) -> AsyncIterator[None]:
        """Pause where the block lasts longer than ``seconds``. Until it ends, it does not count as admitted either,
        unless as many as may be admitted do so already.
        """
        timer = asyncio.get_running_loop().call_later(seconds, self._step_aside)
        try:
            yield
        finally:
            timer.cancel()
            if self._is_aside:
                self._is_aside = False
                self._capacity._aside -= 1
                self._capacity._admitted += 1
        await self.resume()

    def _step_aside(self) -> None:
        self.pause()
        if self._capacity._aside < self._capacity._most:
            self._is_aside = True
            self._capacity._aside += 1
            self._capacity._admitted -= 1
