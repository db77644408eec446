"""Avatars of one gateway: whose they are, who may see them, and how many are made at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import BinaryIO

from emotalk_avatar.decoding.uploads import is_clip
from emotalk_avatar.errors import PictureTooLarge
from emotalk_avatar.limits import MAX_CLIP_BYTES
from emotalk_avatar.models import FaceModels
from emotalk_avatar.naming import EVERYBODY, checked_name
from emotalk_avatar.package import Avatar
from emotalk_avatar.registering import Registered, register
from emotalk_avatar.store import AvatarStore, Listing, Quota
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.threads import in_thread
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.errors import AvatarsOff
from emotalk_gateway.service.settings import GatewaySettings

COMPUTED = 2
"""Registrations that are computed at once, of which one may be a clip's; the others wait."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A registration that somebody asks for."""

    picture: BinaryIO
    """Seekable; read when it is its turn."""
    name: str
    user_id: str | None = None
    """A label of the caller's; it counts where tokens do not name callers."""
    consent: bool = False
    glasses: bool = False
    """True where glasses are worn."""


class Avatars:
    """The avatars of a gateway, which has some where a folder for them is set.

    Args:
        settings: the gateway's.
        client: of the server that sees faces.
        named: True where callers are told from each other, so that each has avatars of their own.
    """

    def __init__(self, settings: GatewaySettings, client: AsyncEmoTalkClient, *, named: bool) -> None:
        quota = Quota(settings.avatars_per_owner, settings.avatar_bytes_per_owner, settings.avatar_bytes)
        self._store = None if settings.avatars is None else AvatarStore(settings.avatars, quota)
        self._models = FaceModels(client)
        self._named = named
        self.registrations = Capacity("registrations", settings.max_registrations, COMPUTED)
        self._looking = asyncio.Semaphore(1)
        self._clip = asyncio.Semaphore(1)
        """To be held by the one clip that is computed: it takes a minute, and photographs go past it."""

    @property
    def on(self) -> bool:
        """True where there may be avatars."""
        return self._store is not None

    @property
    def store(self) -> AvatarStore:
        """The folder of them; raises :class:`AvatarsOff`."""
        if self._store is None:
            raise AvatarsOff("this gateway has no avatars; it has them when it is started with --avatars DIR")
        return self._store

    def check(self) -> None:
        """Raise :class:`AvatarsOff` or :class:`GatewayFull` where a registration would be refused."""
        _ = self.store
        self.registrations.check()

    async def register(self, caller: Caller, asked: Asked) -> Registered:
        """Make an avatar and store it, once it is its turn.

        Raises:
            AvatarsOff, GatewayFull: as :meth:`check`.
            EmoTalkError: as :func:`~emotalk_avatar.registering.register`.
        """
        store = self.store
        name = checked_name(asked.name)
        owner = self._owner(caller, asked.user_id)
        with self.registrations.admit():
            await in_thread(store.check_room, owner)
            async with AsyncExitStack() as turn:
                async with self._looking:  # one at a time is in memory as a whole
                    moves = await in_thread(_moves, asked.picture)
                if moves:
                    await turn.enter_async_context(self._clip)
                await turn.enter_async_context(self.registrations.run())
                content = await in_thread(_read, asked.picture)
                return await register(
                    content, name, owner, self._models, store, consent=asked.consent, glasses=asked.glasses
                )

    async def list(self, caller: Caller, user_id: str | None = None) -> Listing:
        """Return the avatars that ``caller`` may see; of those, the ones of ``user_id``."""
        mine = self._visible(caller)
        if mine is not None and user_id not in (None, mine):
            return Listing((), ())
        listing: Listing = await in_thread(self.store.list, user_id if mine is None else mine)
        return listing

    async def get(self, caller: Caller, avatar_id: str) -> Avatar:
        """Return an avatar that ``caller`` may see; raises as :meth:`~emotalk_avatar.store.AvatarStore.get`."""
        avatar: Avatar = await in_thread(self.store.get, avatar_id, self._visible(caller))
        return avatar

    async def read(self, avatar: Avatar, name: str) -> bytes:
        """Return a file of ``avatar``; raises as :meth:`~emotalk_avatar.store.AvatarStore.read`."""
        content: bytes = await in_thread(self.store.read, avatar, name)
        return content

    def may_see(self, caller: Caller, avatar: Avatar) -> bool:
        """Return whether ``avatar`` is one that ``caller`` may see."""
        mine = self._visible(caller)
        return mine is None or avatar.metadata.owner == mine

    async def delete(self, caller: Caller, avatar_id: str) -> None:
        """Remove an avatar of ``caller``'s; raises as :meth:`~emotalk_avatar.store.AvatarStore.delete`."""
        await in_thread(self.store.delete, avatar_id, self._visible(caller))

    def _owner(self, caller: Caller, user_id: str | None) -> str:
        """Return whose an avatar will be: the token decides, where tokens name callers."""
        if self._named:
            return caller.name
        return EVERYBODY if user_id is None else checked_name(user_id, "user_id")

    def _visible(self, caller: Caller) -> str | None:
        """Return whose avatars ``caller`` may see; None: everybody's."""
        return caller.name if self._named and not caller.may("admin") else None


def _moves(file: BinaryIO) -> bool:
    return is_clip(_read(file))


def _read(file: BinaryIO) -> bytes:
    file.seek(0)
    content = file.read(MAX_CLIP_BYTES + 1)
    if len(content) > MAX_CLIP_BYTES:
        raise PictureTooLarge(f"the file has more than {MAX_CLIP_BYTES} bytes; accepted: at most {MAX_CLIP_BYTES}")
    return content
