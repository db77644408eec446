"""Bounds how many requests are inside the ensemble, at its door.

Rule that this module guards: **a request for which there is no room is told so before a network computes for it.**

Why not Triton's own ``max_queue_size``: a bounded queue keeps its dynamic batcher from preparing the next batch ahead,
and a request that comes just as the instance is about to be free may then sleep until the batcher's own time-out of
500 ms (Triton 2.51 does so as soon as two requests overlap). So the queues of the steps are unbounded, and the
two Python steps at the ensemble's ends count.

Theory of operation. Requests pass the steps in order. The first step numbers them; the number travels with the request
as the tensor TICKET; the last step notes the highest number that came out. What lies between is inside. A request that
fails on its way leaves a gap, which the next one to come out closes. Should nothing come out any more, one request in
:data:`RETRY_S` is let in to try. The two numbers lie in a file that both processes map; each has one writer.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emotalk_contract.launch import SERVER_FOLDER

RETRY_S = 30.0
"""Seconds without an answer after which a full ensemble takes one more request, to see whether it lives."""
WARM_UPS = 1
"""Requests that the first step sees and the last does not: the configs warm up every step by itself."""

NAME = "admission"

_ISSUED, _DONE, _DONE_AT_NS = range(3)


class EnsembleFull(RuntimeError):
    """As many requests as there may be are inside already."""


def path() -> Path:
    """The file that the steps of one server share: in that server's own folder, which no other user may enter.

    A Triton that was started by hand has no such folder; its steps share one that is named after it, and made here.
    """
    if folder := os.environ.get(SERVER_FOLDER):
        return Path(folder, NAME)
    own = Path(tempfile.gettempdir(), f"emotalk-triton-{os.getppid()}")
    own.mkdir(mode=0o700, exist_ok=True)
    if own.stat().st_uid != os.getuid():
        raise PermissionError(f"{own} belongs to somebody else; set {SERVER_FOLDER} to a folder of your own")
    return own / NAME


class Admission:
    """What both ends of the ensemble know: three int64 in ``file``.

    Raises:
        OSError: the file cannot be made or mapped.
    """

    def __init__(self, file: Path, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        size = 3 * np.dtype(np.int64).itemsize
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(handle, size)
            self._counts = np.frombuffer(mmap.mmap(handle, size), np.int64)
        finally:
            os.close(handle)
        self._clock_ns = clock_ns

    @classmethod
    def of_this_server(cls) -> Admission:
        """For a process that Triton started."""
        return cls(path())

    def open_door(self, limit: int) -> None:
        """Called by the first step, once: from now on ``limit`` requests may be inside."""
        self._limit = limit
        # Numbers go on: a request from before a restart of this step must not count for those after it.
        issued = max(self._counts[_ISSUED], self._counts[_DONE])
        self._counts[:] = issued, issued + WARM_UPS, self._clock_ns()

    def enter(self) -> int:
        """The number of one more request.

        Raises:
            EnsembleFull: there is no room.
        """
        inside = int(self._counts[_ISSUED] - self._counts[_DONE])
        if inside >= self._limit:
            now = self._clock_ns()
            if now - self._counts[_DONE_AT_NS] < RETRY_S * 1e9:
                raise EnsembleFull(f"Exceeds maximum queue size: {inside} requests are inside, accepted: {self._limit}")
            self._counts[_DONE_AT_NS] = now
        self._counts[_ISSUED] += 1
        return int(self._counts[_ISSUED])

    def leave(self, ticket: int) -> None:
        """Called by the last step: the request ``ticket`` is done, and so are all before it."""
        if ticket > self._counts[_DONE]:
            self._counts[_DONE] = ticket
        self._counts[_DONE_AT_NS] = self._clock_ns()
