"""Things made of files, and made anew when those change.

Rule that this module guards: **a new file needs no restart, and a broken one harms nobody.** Where the files cannot be
used, what was made of them before goes on; the log says so once, and a metric for as long as it is so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from emotalk_gateway.service.errors import InvalidSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Followed(Generic[T]):
    """``made()`` of ``files``, as they are now. Asking costs a ``stat`` of each.

    Args:
        what: for the log.
        made: reads the files.

    Raises:
        InvalidSettings: out of ``made``, the first time; nothing was made before.
    """

    def __init__(self, what: str, files: Sequence[Path], made: Callable[[], T]) -> None:
        self._what = what
        self._files = tuple(files)
        self._made = made
        self._stamps = self._stamped()  # before they are read: what changes meanwhile is read again
        self._current = made()
        self.stale = False
        """True where the files cannot be used, and what was made before goes on."""

    def current(self) -> T:
        """Return what is made of the files as they are, else what was made of them before."""
        stamps = self._stamped()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._current = self._made()
            except InvalidSettings as error:
                self.stale = True
                logger.error("%s; %s of before go on", error, self._what)  # noqa: TRY400  # for people
            else:
                self.stale = False
                logger.info("%s are used as %s has them now", self._what, self._files[0])
        return self._current

    def _stamped(self) -> tuple[tuple[int, int, int], ...]:
        """Tell one state of the files from another."""
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
