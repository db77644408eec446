"""SIGTERM as Ctrl-C: a run that is ended stops what it started, and takes its temporary files with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts() -> Iterator[None]:
    """Let SIGTERM raise :class:`KeyboardInterrupt` in the block; does nothing beside the main thread."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of handlers
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
