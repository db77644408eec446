"""Files that lie within others."""

from __future__ import annotations

import io
import os
from typing import BinaryIO


class Part(io.RawIOBase):
    """``size`` bytes of ``file`` from ``start`` behind ``prefix``, as a file of their own.

    Args:
        owned: whether ``file`` is closed with this one.
        name: for messages.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        size: int,
        prefix: bytes = b"",
        *,
        owned: bool = False,
        name: str = "the file",
    ) -> None:
        self.name = name
        self._file = file
        self._owned = owned
        self._start = start
        self._prefix = prefix
        self._size = len(prefix) + size
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte; nothing lies before the first."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, target: object) -> int:
        """Read into ``target``; returns the number of bytes."""
        view = memoryview(target).cast("B")  # type: ignore[arg-type]  # a buffer, by io's contract
        wanted = min(len(view), max(0, self._size - self._at))
        if self._at < len(self._prefix):
            piece = self._prefix[self._at : self._at + wanted]
        else:
            self._file.seek(self._start + self._at - len(self._prefix))
            piece = self._file.read(wanted)
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close it; does nothing the second time."""
        if self._owned and not self.closed:
            self._file.close()
        super().close()
