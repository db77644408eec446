"""A folder of folders, each of which is there as a whole or not at all.

Rule that this module guards: **nobody sees half of a folder, whoever is killed when.** A folder is written under
another name in the same file system, brought to the disk, and renamed. Whoever writes one holds a lock on it, which the
kernel lets go of when its process dies: what is not locked is a leaving, and is removed by whoever writes next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from emotalk_client.errors import UnwritableFile

LOCK = ".lock"
NEW, GONE = ".new-", ".gone-"
"""Beginnings of names: of folders that are being written, and of those being removed."""
FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Faces of persons: nobody else's to read."""
WAIT_S = 10.0
"""Seconds that another process may hold a folder: it only counts and renames meanwhile."""
PAUSE_S = 0.01


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process and thread alone; it is made where it is not there.

    Raises:
        UnwritableFile: it cannot be written to.
    """
    with _writing(folder):
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        _wait_for(lock, folder)
        yield
    finally:
        os.close(lock)


def _wait_for(lock: int, folder: Path) -> None:
    """Take ``lock``; not for ever, for whoever holds it may have been stopped."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise UnwritableFile(
                    f"avatars cannot be written to {folder}: another process has held it for {WAIT_S:g} s"
                ) from error
            time.sleep(PAUSE_S)
        else:
            return


@contextmanager
def written(folder: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Yield a new folder in ``folder`` with ``files``, all on the disk; removed at the end, unless it was renamed.

    Raises:
        UnwritableFile: it cannot be written, or there is no room.
    """
    with locked(folder):
        _sweep(folder)
        with _writing(folder):
            new = Path(tempfile.mkdtemp(prefix=NEW, dir=folder))
            held = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with _writing(folder):
            for name, content in files.items():
                _write(new / name, content)
            os.fsync(held)
        yield new
    finally:
        os.close(held)
        shutil.rmtree(new, ignore_errors=True)


def rename(new: Path, name: str) -> Path:
    """Give ``new`` its ``name``, beside where it is, for good; return where it lies then.

    Raises:
        UnwritableFile: it cannot be.
    """
    target = new.with_name(name)
    with _writing(new.parent):
        new.rename(target)
        _sync(new.parent)
    return target


def remove(folder: Path) -> bool:
    """Remove ``folder``, at once for whoever looks for it; False where it was not there.

    Raises:
        UnwritableFile: it cannot be.
    """
    with _writing(folder.parent):
        gone = Path(tempfile.mkdtemp(prefix=GONE, dir=folder.parent))
        try:
            folder.rename(gone / folder.name)
        except FileNotFoundError:
            gone.rmdir()
            return False
        _sync(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _sweep(folder: Path) -> None:
    """Remove what writers and removers that died have left; under the lock of ``folder``."""
    for path in folder.glob(".*-*"):
        if path.name.startswith(GONE) or (path.name.startswith(NEW) and _is_left(path)):
            shutil.rmtree(path, ignore_errors=True)


def _is_left(path: Path) -> bool:
    with suppress(OSError):
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(held)
    return False


def _write(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb") as file:  # noqa: PTH123  # a descriptor
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnwritableFile(f"avatars cannot be written to {folder}: {error.strerror or error}") from error
