"""A folder of avatars, shared by any number of processes.

Rule that this module guards: **an avatar is there as a whole or not at all, and is what was written.** See
:mod:`emotalk_avatar.folders` for the first, :mod:`emotalk_avatar.package` for the second. Counts for quotas are taken
under the folder's lock, so that two who register at once do not both get the last place.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from emotalk_avatar import folders
from emotalk_avatar.cache import ByteCache, CacheStatus
from emotalk_avatar.errors import AvatarExists, AvatarQuotaExceeded, AvatarStoreFull, DamagedAvatar, UnknownAvatar
from emotalk_avatar.naming import checked_id, is_id, new_id
from emotalk_avatar.package import METADATA, MIB, Avatar, Draft, Metadata, read_avatar

CACHE_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that is stored."""

    avatars: int = 20
    """Of one owner."""
    bytes: int = 512 * MIB
    """Of one owner."""
    total_bytes: int = 8192 * MIB
    """Of all owners."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A look at a store."""

    avatars: tuple[Avatar, ...]
    """The oldest first."""
    damaged: tuple[str, ...]
    """Ids of those whose metadata cannot be read."""


class AvatarStore:
    """The avatars in ``folder``; of several threads.

    Args:
        folder: made when the first avatar is stored.
        quota: held when avatars are stored.
        cache_bytes: of files that were read, kept in memory.
    """

    def __init__(self, folder: Path, quota: Quota | None = None, cache_bytes: int = CACHE_BYTES) -> None:
        self.folder = folder
        self.quota = quota or Quota()
        self._cache = ByteCache(cache_bytes)
        self._known: dict[str, tuple[object, Avatar]] = {}
        self._lock = threading.Lock()

    def check_room(self, owner: str) -> None:
        """Look whether ``owner`` may store one more, before the work that it takes.

        Raises:
            AvatarQuotaExceeded, AvatarStoreFull: as :meth:`add`.
        """
        self._check_quota(owner, 1)

    def add(self, draft: Draft, avatar_id: str | None = None) -> Avatar:
        """Store ``draft`` and return it.

        Args:
            draft: what is stored.
            avatar_id: None: a new one.

        Raises:
            AvatarQuotaExceeded: its owner has as many, or as many bytes, as are taken.
            AvatarStoreFull: all owners together do.
            AvatarExists: an avatar has the id.
            UnwritableFile: there is no room on the disk, or no permission.
        """
        metadata = draft.metadata(new_id() if avatar_id is None else checked_id(avatar_id))
        files = {**draft.files, METADATA: metadata.dumped()}
        self._check_quota(metadata.owner, metadata.size)
        with folders.written(self.folder, files) as new, folders.locked(self.folder):
            self._check_quota(metadata.owner, metadata.size)
            if (self.folder / metadata.id).exists():
                raise AvatarExists(f"there is an avatar {metadata.id} already; delete it first")
            return Avatar(folders.rename(new, metadata.id), metadata)

    def get(self, avatar_id: str, owner: str | None = None) -> Avatar:
        """Return the avatar ``avatar_id``.

        Args:
            avatar_id: as its registration gave it.
            owner: None: anybody's.

        Raises:
            UnknownAvatar: there is none, or it is not ``owner``'s.
            DamagedAvatar: its metadata are not what was written.
        """
        avatar = self._read(checked_id(avatar_id))
        if owner is not None and avatar.metadata.owner != owner:
            raise UnknownAvatar(f"no avatar has the id {avatar_id!r}")
        return avatar

    def read(self, avatar: Avatar, name: str) -> bytes:
        """Return the bytes of the file ``name`` of ``avatar``; from memory where they were read before.

        Raises:
            UnknownAvatar: it has no such file, or was deleted meanwhile.
            DamagedAvatar: they are not what was written.
        """
        avatar.path(name)
        return self._cache.get((avatar.id, avatar.metadata.files[name].sha256), lambda: avatar.read(name))

    def list(self, owner: str | None = None) -> Listing:
        """Return the avatars of ``owner``; None: everybody's, and those damaged, whose owner nobody knows."""
        found, damaged = [], []
        ids = self._ids()
        with self._lock:
            self._known = {one: known for one, known in self._known.items() if one in ids}
        for avatar_id in ids:
            try:
                found.append(self._read(avatar_id))
            except DamagedAvatar:
                damaged.append(avatar_id)
            except UnknownAvatar:  # deleted meanwhile
                continue
        wanted = [avatar for avatar in found if owner is None or avatar.metadata.owner == owner]
        wanted.sort(key=lambda avatar: (avatar.metadata.created, avatar.id))
        return Listing(tuple(wanted), tuple(sorted(damaged)) if owner is None else ())

    def delete(self, avatar_id: str, owner: str | None = None) -> None:
        """Remove the avatar ``avatar_id``; whoever reads a file of it may read on.

        Raises:
            UnknownAvatar: there is none, or it is not ``owner``'s.
            DamagedAvatar: nobody knows whose it is, and ``owner`` is somebody.
            UnwritableFile: it cannot be removed.
        """
        checked_id(avatar_id)
        if owner is not None:
            self.get(avatar_id, owner)
        if not (self.folder / avatar_id).is_dir():
            raise UnknownAvatar(f"no avatar has the id {avatar_id!r}")
        with folders.locked(self.folder):
            if not folders.remove(self.folder / avatar_id):
                raise UnknownAvatar(f"no avatar has the id {avatar_id!r}")
        self._forget(avatar_id)

    def cache_status(self) -> CacheStatus:
        """Return how the memory of read files is."""
        return self._cache.status()

    def _ids(self) -> set[str]:
        try:
            with os.scandir(self.folder) as entries:
                return {entry.name for entry in entries if is_id(entry.name)}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def _read(self, avatar_id: str) -> Avatar:
        """Return the avatar; parsed again only where its file is another one than before."""
        folder = self.folder / avatar_id
        try:
            seen = (folder / METADATA).stat()
        except OSError:
            self._forget(avatar_id)
            return read_avatar(folder)  # says what is wrong
        state = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        with self._lock:
            known = self._known.get(avatar_id)
        if known is not None and known[0] == state:
            return known[1]
        avatar = read_avatar(folder)
        with self._lock:
            self._known[avatar_id] = (state, avatar)
        return avatar

    def _forget(self, avatar_id: str) -> None:
        with self._lock:
            self._known.pop(avatar_id, None)
        self._cache.drop(lambda key: isinstance(key, tuple) and key[0] == avatar_id)

    def _check_quota(self, owner: str, size: int) -> None:
        everybody: list[Metadata] = [avatar.metadata for avatar in self.list().avatars]
        own = [metadata for metadata in everybody if metadata.owner == owner]
        quota = self.quota
        if len(own) >= quota.avatars:
            raise AvatarQuotaExceeded(
                f"{owner} has {len(own)} avatars; accepted: {quota.avatars} of one owner; delete one first"
            )
        held = sum(metadata.size for metadata in own)
        if held + size > quota.bytes:
            raise AvatarQuotaExceeded(
                f"{owner} has {held} bytes of avatars, and this one has {size}; accepted: {quota.bytes} of one owner; "
                "delete one first"
            )
        total = sum(metadata.size for metadata in everybody)
        if total + size > quota.total_bytes:
            raise AvatarStoreFull(
                f"there are {total} bytes of avatars, and this one has {size}; accepted: {quota.total_bytes} of all "
                "owners together"
            )
