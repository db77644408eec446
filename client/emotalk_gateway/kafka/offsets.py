"""Offsets that may be committed. Pure.

Rule that this module guards: **nothing is committed over a gap.** A commit says that everything before it is done, so
only the offset up to which every record that was begun is done may be committed.
"""

from __future__ import annotations

from collections import deque


class Watermark:
    """Records of one partition, begun in the order of their offsets and done in any.

    Offsets may have gaps: a topic's transactions and compaction leave some.
    """

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._done: set[int] = set()
        self._next: int | None = None
        self._committed: int | None = None
        self._last = -1

    @property
    def position(self) -> int | None:
        """The offset to commit, where it is not committed yet."""
        return None if self._next == self._committed else self._next

    @property
    def first_open(self) -> int | None:
        """The first offset that is not done with, as far as it is known."""
        return self._open[0] if self._open else self._next

    @property
    def last(self) -> int:
        """The last offset that was begun; -1: none."""
        return self._last

    def begin(self, offset: int) -> None:
        """A record was taken.

        Raises:
            ValueError: it stands before one that was taken.
        """
        if offset <= self._last:
            raise ValueError(f"offset {offset} after {self._last}; accepted: larger ones")
        self._last = offset
        self._open.append(offset)

    def done(self, offset: int) -> None:
        """A record is done with."""
        self._done.add(offset)
        while self._open and self._open[0] in self._done:
            first = self._open.popleft()
            self._done.discard(first)
            self._next = first + 1

    def committed(self, position: int) -> None:
        """``position`` was committed."""
        self._committed = position
