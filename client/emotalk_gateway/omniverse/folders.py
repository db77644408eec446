"""Files that the door may read and write.

Rule that this module guards: **a caller names files, and reaches only those it may.** Sound is read below the folders
that the operator named, faces are written below one; wherever links lead, it is their end that counts, and what was
checked is what is opened. Nothing is read but regular files with the name of a sound.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from emotalk_client.errors import UnwritableFile
from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import PathNotAllowed, TrackNotFound

SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus")
"""Ends of the names of sounds."""
MOST_TRACKS = 10_000
"""That are listed of a folder."""
MOST_ENTRIES = 100_000
"""Of a folder that are looked at."""
MOST_NAME_BYTES = 200
"""Of a file that is written; file systems take 255, and a suffix is added."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a door.

    Args:
        written: faces, below this folder.
        sounds: sound, below these and below ``written``; None: anywhere.
    """

    written: Path
    sounds: Sequence[Path] | None = None

    def check_root(self, folder: str) -> None:
        """Raise :class:`PathNotAllowed` where tracks may not be in ``folder``, or it is not an absolute path."""
        self._sound_path(folder)

    def tracks(self, root: str) -> list[str]:
        """Return the names of the sounds in ``root``, in order.

        Raises:
            PathNotAllowed: ``root`` is not a folder where tracks may be.
        """
        folder = self._sound_path(root)
        names: list[str] = []
        with suppress(OSError), os.scandir(folder) as entries:  # a folder that is not there has none
            for looked, entry in enumerate(entries):
                if looked >= MOST_ENTRIES or len(names) >= MOST_TRACKS:
                    break
                if entry.name.lower().endswith(SOUNDS):
                    names.append(entry.name)
        return sorted(names)

    def open_sound(self, root: str, track: str) -> BinaryIO:
        """Return the file ``track`` of ``root``, open; whoever asks closes it.

        Raises:
            PathNotAllowed: it leads to where sound may not be read.
            TrackNotFound: there is not such a file, or it cannot be read.
        """
        if not track.lower().endswith(SOUNDS) or not _is_name(track):
            raise TrackNotFound(
                f"the track is {quoted(track)}; accepted: a file's name that ends in {', '.join(SOUNDS)}"
            )
        path = self._sound_path(os.path.join(root, track))  # noqa: PTH118  # a Path would tidy what is to be checked
        try:
            # Without waiting for somebody to write to a pipe, and without following what has been put there since.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _not_found(track) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _not_found(track)
        return os.fdopen(descriptor, "rb")

    @contextmanager
    def written_folder(self, folder: str) -> Iterator[int]:
        """A descriptor of ``folder``, which is :attr:`written` or below it.

        Raises:
            PathNotAllowed: it is not.
            UnwritableFile: there is not such a folder.
        """
        top = self.written.resolve()
        found = _resolved(folder)
        if not found.is_relative_to(top):
            raise PathNotAllowed(f"the export directory is {quoted(folder)}; accepted: one below --omniverse-folder")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(top, flags)
            # A step at a time: whoever can write there could put a link in the way after it was resolved.
            for part in found.relative_to(top).parts:
                outer = descriptor
                try:
                    descriptor = os.open(part, flags, dir_fd=outer)
                finally:
                    os.close(outer)
        except OSError as error:
            raise UnwritableFile(f"the folder {quoted(folder)} cannot be opened: {error.strerror or error}") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _sound_path(self, path: str) -> Path:
        """Return where ``path`` leads."""
        found = _resolved(path)
        if self.sounds is not None:
            allowed = [self.written.resolve(), *(folder.resolve() for folder in self.sounds)]
            if not any(found.is_relative_to(folder) for folder in allowed):
                raise PathNotAllowed(
                    f"sound at {quoted(path)} may not be read; accepted: files below the folders that this gateway "
                    "was told of (EMOTALK_GATEWAY_OMNIVERSE_SOUNDS)"
                )
        return found


def check_name(name: str) -> str:
    """Return ``name`` if a file may be called so.

    Raises:
        PathNotAllowed: it is a path, or has letters that no file's name has.
    """
    if not _is_name(name) or len(os.fsencode(name)) > MOST_NAME_BYTES:
        raise PathNotAllowed(
            f"the file name is {quoted(name)}; accepted: a name of at most {MOST_NAME_BYTES} bytes, without folders"
        )
    return name


def write(folder: int, name: str, pieces: Iterable[bytes]) -> None:
    """Write ``pieces`` to the file ``name`` of the folder with that descriptor: all of it is there, or nothing new.

    Raises:
        UnwritableFile: there is no permission or no space.
    """
    temporary = f".{secrets.token_hex(8)}.part"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(pieces)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)  # within a descriptor
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)  # likewise
            raise
    except OSError as error:
        raise UnwritableFile(f"{quoted(name)} cannot be written: {error.strerror or error}") from error


def _is_name(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _resolved(path: str) -> Path:
    """Return where an absolute ``path`` leads; what is not there yet leads to itself."""
    try:
        if os.path.isabs(path) and "\0" not in path:  # noqa: PTH117  # of a text that may be anything
            return Path(os.path.realpath(path))
    except (OSError, ValueError):  # letters that no path has, or links in a circle
        pass
    raise PathNotAllowed(f"the path is {quoted(path)}; accepted: an absolute one")


def _not_found(track: str) -> TrackNotFound:
    return TrackNotFound(f"the track {quoted(track)} cannot be read; accepted: an audio file of the root path")
