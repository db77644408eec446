"""The folder that one running server owns: readable by its user only, locked while its owner lives, gone with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from emotalk_server import leavings
from emotalk_server.errors import FolderUnusable
from emotalk_server.installation import Triton

TRITONS_OWN = Path("/tmp")  # noqa: S108  # Triton's Python backend makes its temporary folders there, whatever TMPDIR says
TRITONS_NAMES = "python_env_*"


class ServerFolder:
    """A new folder with a janitor that cleans up should this process be killed; made by :meth:`create`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self._known: set[str] = set()
        self._environments: set[str] = set()
        self._backends: Path | None = None
        self._janitor: subprocess.Popen[bytes] | None = None
        _open_locks.add(self)

    @classmethod
    def create(cls) -> ServerFolder:
        """Clean up after dead servers, and make a folder for a new one.

        Raises:
            FolderUnusable: there is no room, or this user may not write there.
        """
        parent = Path(tempfile.gettempdir())
        leavings.sweep(parent)
        path = None
        try:
            path = Path(tempfile.mkdtemp(prefix=leavings.PREFIX, dir=parent))
            # Locked before it has its name: who sees the file sees the lock.
            lock = os.open(path / "new", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            (path / "new").rename(path / leavings.LOCK)
            folder = cls(path, lock)
            folder.watch_over()
        except OSError as error:
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)
            raise unusable(parent, error) from error
        return folder

    def watch_over(self) -> None:
        """Start a janitor, unless there is one."""
        if self._janitor is not None and self._janitor.poll() is None:
            return
        self._janitor = subprocess.Popen(
            [sys.executable, "-I", "-S", leavings.__file__, str(os.getpid()), str(self.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a terminal's Ctrl-C, and who kills our group, leave it alone
        )

    @property
    def janitor_pid(self) -> int | None:
        """Process id of the janitor."""
        return self._janitor.pid if self._janitor else None

    @property
    def region_prefix(self) -> str:
        """Beginning of the names of the server's shared memory."""
        return leavings.region_prefix(self.path)

    def backends(self, triton: Triton) -> Path:
        """Return the folder of backends for ``triton``, laid out here once where its own does not do."""
        if self._backends is None:
            shutil.rmtree(self.path / "backends", ignore_errors=True)  # half of it, if there was no room
            self._backends = triton.lay_out_backends(self._folder("backends"))
        return self._backends

    def for_models(self) -> Path:
        """Return an empty folder for what the models share, which nothing of an earlier Triton is in."""
        path = self.path / "models"
        shutil.rmtree(path, ignore_errors=True)
        return self._folder("models")

    def for_groups(self) -> Path:
        """Return an empty folder for links to the models that are to be served."""
        path = self.path / "groups"
        shutil.rmtree(path, ignore_errors=True)
        return self._folder("groups")

    def for_plans(self) -> Path:
        """Return an empty folder for links to the models and their plans."""
        path = self.path / "plans"
        shutil.rmtree(path, ignore_errors=True)
        return self._folder("plans")

    def _folder(self, name: str) -> Path:
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def before_launch(self) -> None:
        """Remember which temporary folders of Tritons are there already."""
        self._known = _environments()

    def after_launch(self) -> None:
        """Note which came since, in a file that the janitor finds."""
        self._environments |= _environments() - self._known
        with contextlib.suppress(OSError):
            (self.path / leavings.ENVIRONMENTS).write_text("\n".join(sorted(self._environments)), "utf-8")

    def after_death(self) -> None:
        """Remove what a Triton that ended left outside of the folder."""
        leavings.kill_all(self.path)
        leavings.remove_regions(self.path)
        leavings.remove_environments(self.path)
        self._environments.clear()

    def remove(self) -> None:
        """Remove it and all that belongs to it; does nothing the second time."""
        if self._lock < 0:
            return
        leavings.clean(self.path)
        self._close()
        if self._janitor is not None:
            self._janitor.kill()
            self._janitor.wait()

    def _close(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def unusable(parent: Path, error: OSError) -> FolderUnusable:
    """Return the error that says why no folder can be made or filled in ``parent``."""
    return FolderUnusable(
        f"the server's own folder cannot be made in {parent} ({error.strerror or error}); "
        "make room there, or set TMPDIR to a folder that this user can write to"
    )


def _environments() -> set[str]:
    """Return Triton's temporary folders that are this user's."""
    found = set()
    for path in TRITONS_OWN.glob(TRITONS_NAMES):
        with contextlib.suppress(OSError):
            if path.stat().st_uid == os.geteuid():
                found.add(str(path))
    return found


_open_locks: weakref.WeakSet[ServerFolder] = weakref.WeakSet()


def _forked() -> None:
    """Close a forked child's copies of the locks: the child may outlive the owner."""
    for folder in list(_open_locks):
        folder._close()


os.register_at_fork(after_in_child=_forked)
