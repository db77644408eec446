"""Replacing a folder in one step, so that whoever uses it sees the old one or the new one, whole."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new, empty folder beside ``folder``, which takes its place when the block ends well.

    When the block raises (an interrupt too), ``folder`` is as it was and the new one is removed.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its folders are the owner's alone, and a server may run as somebody else.
    fresh = folder.parent / f".{folder.name}.export-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def swap(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; what was there is then at ``fresh``."""
    if not folder.exists():
        fresh.rename(folder)
    elif not _exchange(fresh, folder):
        aside = fresh.with_name(fresh.name + ".old")
        folder.rename(aside)
        try:
            fresh.rename(folder)
        except BaseException:
            aside.rename(folder)
            raise
        aside.rename(fresh)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders' names at once; False where this system or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(other))
