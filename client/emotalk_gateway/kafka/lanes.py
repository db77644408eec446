"""Order: what may begin now. Pure.

Rule that this module guards: **of one lane, one at a time, in the order of arrival**; different lanes at once, up to a
limit. A lane is a key, or a partition, or a record's own where it has neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Work that waits and that runs.

    Args:
        most: lanes that run at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[Hashable, deque[T]] = {}
        self._running: dict[Hashable, T] = {}
        self._ready: deque[Hashable] = deque()

    def __len__(self) -> int:
        return len(self._running) + sum(map(len, self._waiting.values()))

    @property
    def running(self) -> list[T]:
        """Work that was begun and is not over."""
        return list(self._running.values())

    def add(self, lane: Hashable, work: T) -> None:
        """Take ``work`` in, behind what its lane holds."""
        if lane not in self._waiting:
            self._waiting[lane] = deque()
            if lane not in self._running:
                self._ready.append(lane)
        self._waiting[lane].append(work)

    def begin(self) -> Iterator[T]:
        """Yield work that may begin now; it counts as running."""
        while self._ready and len(self._running) < self._most:
            lane = self._ready.popleft()
            work = self._waiting[lane].popleft()
            if not self._waiting[lane]:
                del self._waiting[lane]
            self._running[lane] = work
            yield work

    def over(self, lane: Hashable) -> None:
        """The work of ``lane`` is over: the next may begin, after those of other lanes that wait already."""
        del self._running[lane]
        if lane in self._waiting:
            self._ready.append(lane)

    def drop(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Forget work that waits and is ``unwanted``; return it. What runs goes on until it is over."""
        dropped: list[T] = []
        for lane, held in list(self._waiting.items()):
            dropped += [work for work in held if unwanted(work)]
            left = deque(work for work in held if not unwanted(work))
            if left:
                self._waiting[lane] = left
            else:
                del self._waiting[lane]
        self._ready = deque(lane for lane in self._ready if lane in self._waiting)
        return dropped
