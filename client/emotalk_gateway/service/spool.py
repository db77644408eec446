"""Bodies of callers, held until they are read.

Rule that this module guards: **all bodies together stay within one bound.** Each lies in memory while it is small and
there is room, else in a file without a name; memory and files have a bound each, whoever sends.
"""

from __future__ import annotations

import io
import tempfile
import threading
from types import TracebackType
from typing import BinaryIO

from emotalk_client.errors import UnwritableFile
from emotalk_gateway.service.errors import GatewayFull

MIB = 2**20
IN_MEMORY = MIB
"""Bytes of one that may lie in memory."""


class Budget:
    """A count of bytes that are held, in memory and in all; spools of several threads share one."""

    def __init__(self, memory: int, most: int) -> None:
        self._memory_left = memory
        self._left = most
        self._most = most
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes, in memory and in files."""
        return self._most - self._left

    def take(self, size: int, in_memory: bool) -> bool:
        """Count ``size`` more; False where they have to go to a file.

        Raises:
            GatewayFull: there is no room at all.
        """
        with self._lock:
            if size > self._left:
                raise GatewayFull(f"{self._most - self._left} bytes of bodies are held; accepted: {self._most} at once")
            if in_memory and size > self._memory_left:
                return False
            self._left -= size
            if in_memory:
                self._memory_left -= size
            return True

    def to_file(self, size: int) -> None:
        """Count ``size`` bytes of memory as bytes of a file."""
        with self._lock:
            self._memory_left += size

    def give(self, size: int, in_memory: bool) -> None:
        """Count ``size`` less."""
        with self._lock:
            self._left += size
            if in_memory:
                self._memory_left += size


class Spool:
    """Bytes that grow, within ``budget``, for as long as the block lasts."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self.file: BinaryIO = io.BytesIO()
        """To be read once all is written."""
        self.in_memory = True

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        self._budget.give(self._size, self.in_memory)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            GatewayFull: there is no room for it.
            UnwritableFile: there is no room on the disk.
        """
        size = len(data)
        try:
            if self.in_memory and (self._size + size > IN_MEMORY or not self._budget.take(size, in_memory=True)):
                self._to_disk()
                self._budget.take(size, in_memory=False)
            elif not self.in_memory:
                self._budget.take(size, in_memory=False)
            self._size += size
            self.file.write(data)
        except OSError as error:
            raise UnwritableFile(f"a body cannot be held: {error.strerror or error}") from error

    def _to_disk(self) -> None:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        file.write(self.file.getvalue())  # type: ignore[attr-defined]  # it lies in memory
        self.file.close()
        self.file = file
        self._budget.to_file(self._size)
        self.in_memory = False
