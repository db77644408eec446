"""Tries again what is safe to try again, within the deadline.

The server keeps nothing between requests, so a window may be sent twice. Only failures that may pass are retried: a
connection, a full queue, a model that is being replaced. A request that is wrong stays wrong.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from emotalk_client.errors import DeadlineExceeded, ModelUnavailable, ServerBusy, ServerUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

JITTER = random.Random()  # noqa: S311  # no secret; a generator of its own, for the program's belongs to the program
PASSING = (ServerUnavailable, ServerBusy, ModelUnavailable)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the event loop's clock."""

    at: float
    allowed_s: float
    """Seconds that there were, for messages."""

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the moment ``seconds`` from now."""
        return cls(asyncio.get_running_loop().time() + seconds, seconds)

    def later(self, seconds: float) -> Deadline:
        """Return the moment ``seconds`` later: time that the caller took does not count."""
        return Deadline(self.at + seconds, self.allowed_s)

    def remaining(self) -> float:
        """Return the seconds that are left.

        Raises:
            DeadlineExceeded: none are.
        """
        left = self.at - asyncio.get_running_loop().time()
        if left <= 0:
            raise DeadlineExceeded(f"the call took longer than its {self.allowed_s:g} s")
        return left


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempts, and the pauses between: ``first_s * 2^k``, at most ``longest_s``, times 0.5..1 drawn anew."""

    attempts: int = 8
    first_s: float = 0.1
    longest_s: float = 2.0

    async def run(self, attempt: Callable[[float], Awaitable[T]], deadline: Deadline) -> T:
        """Return the first success of ``attempt(seconds left)``, or raise its last failure."""
        for number in range(self.attempts):
            try:
                return await attempt(deadline.remaining())
            except PASSING as error:
                longest = min(self.first_s * 2 ** min(number, 32), self.longest_s)  # 32: far beyond, and no overflow
                pause = longest * JITTER.uniform(0.5, 1)
                if number == self.attempts - 1 or pause >= deadline.at - asyncio.get_running_loop().time():
                    raise
                logger.info("trying again in %.2f s: %s", pause, error)
                await asyncio.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")
