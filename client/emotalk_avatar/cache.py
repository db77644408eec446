"""Bytes that were read before, the least lately used of which go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

SHARE = 4
"""Files larger than this part of the whole are not kept: one would drive all others out."""


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """Figures of a cache."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    evicted: int


class ByteCache:
    """Holds at most ``max_bytes``; of several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = self._hits = self._misses = self._evicted = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], bytes]) -> bytes:
        """Return what is held under ``key``, or what ``read`` returns, which is held from then on."""
        with self._lock:
            if (found := self._held.get(key)) is not None:
                self._held.move_to_end(key)
                self._hits += 1
                return found
            self._misses += 1
        content = read()  # two that ask at once read twice: better than one that waits for a disk under the lock
        with self._lock:
            if len(content) <= self._max_bytes // SHARE and key not in self._held:
                self._held[key] = content
                self._bytes += len(content)
                while self._bytes > self._max_bytes:
                    _, dropped = self._held.popitem(last=False)
                    self._bytes -= len(dropped)
                    self._evicted += 1
        return content

    def drop(self, wanted: Callable[[Hashable], bool]) -> None:
        """Hold nothing any more whose key is ``wanted``."""
        with self._lock:
            for key in [key for key in self._held if wanted(key)]:
                self._bytes -= len(self._held.pop(key))

    def status(self) -> CacheStatus:
        """Return how it is."""
        with self._lock:
            return CacheStatus(len(self._held), self._bytes, self._max_bytes, self._hits, self._misses, self._evicted)
