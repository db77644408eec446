"""One hostile input."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

HANG, CLOSED = "hang", "closed"
"""Answers of a peer that says nothing in time, and of one that ends the connection without a word."""


@dataclass(frozen=True, slots=True)
class Target:
    """The service."""

    host: str
    http: int
    """Triton's port."""
    grpc: int
    gateway: int
    mark: str
    """Of the run's processes."""

    @property
    def triton(self) -> tuple[str, int]:
        """Return the address of Triton's HTTP."""
        return self.host, self.http

    @property
    def page(self) -> tuple[str, int]:
        """Return the address of the gateway."""
        return self.host, self.gateway


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile input, and the answers that are accepted."""

    name: str
    fault: str
    """Its line of the list of faults."""
    accepted: str
    """Regular expression of the whole answer."""
    send: Callable[[Target], str]
    """Send it, and return the answer: a status and the error's class, ``hang`` or ``closed``."""

    without_face_s: float = 3.0
    """Seconds without a face that it may cause."""

    def accepts(self, answer: str) -> bool:
        """Return True for an answer that is as it should be."""
        return re.fullmatch(self.accepted, answer) is not None
