"""Limits of callers, and what counts against them.

Rule that this module guards: **in no minute more than the limit, at all doors together.** What is refused is not
counted, and the refusal says when to come again.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.errors import ClipTooLong, TooManyRequests, TooManyStreams, TooMuchSpeech

WINDOW_S = 60
ROUNDING = 1e-9
"""Of sums of amounts: by so little nothing is too much."""


class Window:
    """Amounts of the last :data:`WINDOW_S` seconds, each kept for up to a second longer: memory has a bound."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, float]] = deque()
        self._sum = 0.0

    def spent(self, now: float) -> float:
        """Return what counts at ``now``, seconds of a clock that never goes back."""
        while self._seconds and self._seconds[0][0] < math.floor(now) - WINDOW_S:
            self._seconds.popleft()
            self._sum = math.fsum(amount for _, amount in self._seconds)  # no error adds up
        return self._sum

    def add(self, amount: float, now: float) -> None:
        """Count ``amount``."""
        second = math.floor(now)
        if self._seconds and self._seconds[-1][0] == second:
            amount_before = self._seconds.pop()[1]
            self._seconds.append((second, amount_before + amount))
        else:
            self._seconds.append((second, amount))
        self._sum += amount

    def wait_s(self, most: float, amount: float, now: float) -> float:
        """Return the seconds after which ``amount`` fits into ``most``; infinite where it never does."""
        left = self.spent(now) + amount - most
        if left <= ROUNDING:
            return 0.0
        for second, held in self._seconds:
            left -= held
            if left <= ROUNDING:
                return second + WINDOW_S + 1 - now
        return math.inf


class _Usage:
    def __init__(self) -> None:
        self.requests = Window()
        self.speech = Window()
        self.streams = 0


class Limiter:
    """Holds callers to their limits, by their names. All state lives on one event loop.

    Args:
        clock: seconds; never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._usage: dict[str, _Usage] = {}

    def request(self, caller: Caller) -> None:
        """Count a request that begins.

        Raises:
            TooManyRequests: it is one too many.
        """
        most = caller.limits.requests
        if most is None:
            return
        window, now = self._of(caller).requests, self._clock()
        if wait_s := window.wait_s(most, 1, now):
            raise TooManyRequests(
                f"{caller.name!r} began {window.spent(now):.0f} requests in a minute; accepted: {most}", wait_s
            )
        window.add(1, now)

    def clip(self, caller: Caller, seconds: float) -> None:
        """Count a clip, of which it is known how long it is.

        Raises:
            TooMuchSpeech: with it there would be more than may be.
            ClipTooLong: it is longer than what may be in a minute.
        """
        most = caller.limits.speech_s
        if most is None:
            return
        if seconds > most:
            raise ClipTooLong(
                f"the clip is {seconds:.1f} s long; accepted: at most {most:g} s, which is what {caller.name!r} may "
                "have in a minute"
            )
        window, now = self._of(caller).speech, self._clock()
        if wait_s := window.wait_s(most, seconds, now):
            raise self._too_much(caller, window.spent(now), wait_s, f" and {seconds:.1f} s more are asked for")
        window.add(seconds, now)

    def speech(self, caller: Caller, seconds: float) -> None:
        """Count speech that came, or was made, of which nobody knew before how long it would be.

        Raises:
            TooMuchSpeech: there was as much as may be before it.
        """
        most = caller.limits.speech_s
        if most is None:
            return
        window, now = self._of(caller).speech, self._clock()
        spent = window.spent(now)
        if spent >= most:
            raise self._too_much(caller, spent, window.wait_s(most, min(seconds, most), now))
        window.add(seconds, now)

    @contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """Count a stream for as long as the block lasts.

        Raises:
            TooManyStreams: as many as may be are there already.
        """
        usage, most = self._of(caller), caller.limits.streams
        if most is not None and usage.streams >= most:
            raise TooManyStreams(f"{caller.name!r} has {usage.streams} streams; accepted: {most} at once")
        usage.streams += 1
        try:
            yield
        finally:
            usage.streams -= 1

    def _of(self, caller: Caller) -> _Usage:
        return self._usage.setdefault(caller.name, _Usage())

    @staticmethod
    def _too_much(caller: Caller, spent: float, wait_s: float, more: str = "") -> TooMuchSpeech:
        most = caller.limits.speech_s
        return TooMuchSpeech(
            f"{caller.name!r} had {spent:.1f} s of speech in a minute{more}; accepted: {most:g} s", wait_s
        )
