"""A file of integers that the processes of one server map.

Rule that this module guards: **nobody else can put a file in the place, and one that was deleted is noticed.** The
folder is the server's own; the file appears under its name whole (made beside it, then linked); a link, a file of
another user or of another size is refused. A cleaner of /tmp may delete the file under a running server: both ends ask
:meth:`SharedFile.replaced` and map the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.launch import SERVER_FOLDER

Numbers: TypeAlias = NDArray[np.int64]

_PREFIX = "emotalk-triton-"


class UnsafeFile(PermissionError):
    """A file or folder that is not what this server made, or that others may change."""


def server_folder() -> Path:
    """Return the folder that the processes of one server share, and no other user may enter.

    A Triton that was started by hand has been given none: its processes make one that is named after it.

    Raises:
        UnsafeFile: the folder belongs to another user, or others may enter it.
    """
    if folder := os.environ.get(SERVER_FOLDER):
        return Path(folder)
    _remove_folders_of_the_dead()
    own = Path(tempfile.gettempdir(), f"{_PREFIX}{os.getppid()}-{_start_time(os.getppid())}")
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UnsafeFile(f"{own} is not a folder of this user alone; set {SERVER_FOLDER} to one that is")
    return own


def _start_time(pid: int) -> str:
    """Return a number that tells ``pid`` from a later process of that number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return "0"


def _remove_folders_of_the_dead() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid, _, started = folder.name.removeprefix(_PREFIX).partition("-")
        if pid.isdigit() and _start_time(int(pid)) != started:
            shutil.rmtree(folder, ignore_errors=True)


class SharedFile:
    """``count`` int64 in the file at ``path``, which is made, all zero, if it is not there.

    Raises:
        UnsafeFile: something else lies there.
        OSError: the file cannot be made or mapped.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        size = count * np.dtype(np.int64).itemsize
        _make(path, size)
        self._handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        found = os.fstat(self._handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_size != size:
            os.close(self._handle)
            raise UnsafeFile(f"{path} is not the file that this server made; remove it")
        self._identity = found.st_dev, found.st_ino
        self.numbers: Numbers = np.frombuffer(mmap.mmap(self._handle, size), np.int64)

    def replaced(self) -> bool:
        """Return whether the file at the path is no longer this one."""
        try:
            found = self._path.lstat()
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def hold(self) -> None:
        """Tell the other processes that this one computes, until :meth:`let_go` or its end."""
        with contextlib.suppress(BlockingIOError):  # another looks at this very moment
            fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def let_go(self) -> None:
        """Take back :meth:`hold`."""
        fcntl.flock(self._handle, fcntl.LOCK_UN)

    def held(self) -> bool:
        """Return whether another process holds the file."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Close the file; the mapping lives as long as an array of it."""
        os.close(self._handle)


def _make(path: Path, size: int) -> None:
    """Make the file at ``path``, all zero and of its full size from the first moment on; keep one that is there."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(handle, 0, size)  # a full disk is an error here, not a SIGBUS later
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        os.close(handle)
        beside.unlink()
