"""The calls of one connection: each is waited for as long as its caller likes, and let go of within bounds.

Rule that this module guards: **what nobody waits for any more stays bounded, and a server that is gone is noticed.**

Theory of operation. Triton up to 25.02 may crash when a call ends while it computes, so a caller who leaves (by a
deadline or a cancellation) leaves its call behind, to be answered to nobody. Calls left behind hold their requests:
once these are :data:`MOST_LEFT_BYTES`, new calls wait, within their own time, until some have been answered. Where the
server's version bears it, a call that is left is cancelled on the wire instead, and holds nothing.

A server from which nothing has come for :data:`QUIET_S` while calls wait is asked whether it lives. No answer within
:data:`ANSWER_S` means that it hangs, or that it vanished without a word: its connection is dropped, with all calls on
it. (HTTP/2's own pings cannot be used: Triton ends a connection after the third ping in five minutes without data.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from emotalk_client.errors import ClientClosed, DeadlineExceeded, ServerUnavailable

MOST_LEFT_BYTES = 16 * 2**20
"""Of requests that nobody waits for any more: more than the longest window of all. gRPC holds each several times."""
OVERHEAD_BYTES = 16 * 1024
"""Held by a call besides its request."""
QUIET_S = 10.0
"""Seconds without any answer after which the server is asked whether it lives."""
ANSWER_S = 20.0
"""Seconds that it has for saying so."""
LET_GO_S = 60.0
"""Seconds after which a call that was left, and that others wait for, is cancelled on the wire after all."""


@dataclass(slots=True)
class _Call:
    size: int
    sent_at: float
    left_at: float | None = None


class Calls:
    """See this module's theory of operation.

    Args:
        url: for messages.
        live: asks the server whether it lives; any answer, a refusal included, is one.
        drop: lets go of the connection and makes another, once the server is known to hang.
    """

    def __init__(self, url: str, live: Callable[[], Awaitable[Any]], drop: Callable[[], None]) -> None:
        self._url = url
        self._live = live
        self._drop = drop
        self._flying: dict[asyncio.Future[Any], _Call] = {}
        self._heard_at = 0.0
        self._change = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._drops = 0
        self._closed = False
        self.cancellable = False
        """True for a server that bears a cancellation on the wire."""

    @property
    def left_bytes(self) -> int:
        """Bytes held by calls that nobody waits for any more."""
        return sum(call.size for call in self._flying.values() if call.left_at is not None)

    async def answer(self, call: Coroutine[Any, Any, Any], timeout_s: float, size: int = 0) -> Any:
        """Return what ``call`` returns, or raise what it raises.

        Args:
            call: not started yet.
            timeout_s: seconds in which there must be an answer.
            size: bytes of the request.

        Raises:
            DeadlineExceeded: there was no answer in time.
            ServerUnavailable: the server hangs, or is gone without a word.
        """
        until = _now() + timeout_s
        try:
            await self._room(until, timeout_s)
        except BaseException:
            call.close()  # never started, never awaited
            raise
        flying = asyncio.ensure_future(call)
        self._flying[flying] = _Call(size + OVERHEAD_BYTES, _now())
        flying.add_done_callback(self._landed)
        try:
            while not flying.done():
                if _now() >= until:
                    raise DeadlineExceeded(f"{self._url} did not answer within {timeout_s:.3g} s")
                await self._wait({flying}, until)
        finally:
            if not flying.done():
                self._leave(flying)
        if flying.cancelled():  # by us: the caller's own cancellation ends the wait above
            raise self._gone()
        return flying.result()

    async def close(self, grace_s: float) -> None:
        """Wait up to ``grace_s`` seconds for the answers that are still to come."""
        self._closed = True
        if self._flying:
            await asyncio.wait(set(self._flying), timeout=grace_s)
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _room(self, until: float, timeout_s: float) -> None:
        """Wait until calls that were left hold few enough bytes."""
        drops = self._drops
        while self.left_bytes >= MOST_LEFT_BYTES:
            now = _now()
            if now >= until:
                raise DeadlineExceeded(
                    f"{self._url} did not answer within {timeout_s:.3g} s: earlier calls, which nobody waits for any "
                    f"more, are still unanswered"
                )
            for flying, call in tuple(self._flying.items()):
                if call.left_at is not None and now - call.left_at >= LET_GO_S:
                    flying.cancel()
            changed = asyncio.ensure_future(self._change.wait())
            try:
                await self._wait({changed}, until)
            finally:
                changed.cancel()
        if self._drops != drops:
            raise self._gone()

    async def _wait(self, futures: set[asyncio.Future[Any]], until: float) -> None:
        """Wait for one of ``futures``, until then, and until there is reason to look again."""
        now = _now()
        quiet_since = max(self._heard_at, min((call.sent_at for call in self._flying.values()), default=now))
        if now - quiet_since >= QUIET_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            futures = futures | {self._asking}
            quiet_since = now
        pause = min(until - now, quiet_since + QUIET_S - now)
        await asyncio.wait(futures, timeout=max(0.0, pause), return_when=asyncio.FIRST_COMPLETED)

    async def _ask(self) -> None:
        """Ask whether the server lives; if it does not say so, let go of everything that waits for it."""
        asked = asyncio.ensure_future(self._live())
        try:
            done, _ = await asyncio.wait({asked}, timeout=ANSWER_S)
        finally:
            if not asked.done():
                asked.cancel()
        if done:
            if not asked.cancelled():
                asked.exception()  # an error is an answer too; whoever waits for another call gets its own
            self._heard_at = _now()
            return
        self._drops += 1
        lost, self._flying = self._flying, {}
        for flying in lost:
            flying.cancel()
        self._heard_at = _now()
        self._drop()
        self._tell()

    def _leave(self, flying: asyncio.Future[Any]) -> None:
        if self.cancellable:
            flying.cancel()
        elif (call := self._flying.get(flying)) is not None:
            call.left_at = _now()

    def _landed(self, flying: asyncio.Future[Any]) -> None:
        self._flying.pop(flying, None)
        if not flying.cancelled():
            flying.exception()  # seen, whether or not anybody still waits for it
            self._heard_at = _now()
        self._tell()

    def _tell(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()

    def _gone(self) -> ServerUnavailable | ClientClosed:
        if self._closed:
            return ClientClosed("this client was closed while it worked")
        return ServerUnavailable(
            f"{self._url} hangs or is gone: nothing came for {QUIET_S:g} s, and it did not say within {ANSWER_S:g} s "
            "that it lives"
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
