"""Drawings of stored avatars, of photographs and of clips."""

from __future__ import annotations

from emotalk_avatar.package import CLIP, FIT, GLB, Avatar
from emotalk_avatar.store import AvatarStore
from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.moving import Moving


def drawing_of(store: AvatarStore, avatar: Avatar, size: tuple[int, int] | None = None) -> Drawing:
    """Return the drawing of ``avatar``, ``size`` as :class:`~emotalk_avatar.video.drawing.Drawing` takes it.

    Raises:
        DamagedAvatar: a file of its package is not what was written, or it has none that can be drawn.
        InvalidVideo, NoDisplay, MissingExtra: as :class:`~emotalk_avatar.video.drawing.Drawing` does.
    """
    facts = avatar.metadata
    moving = None
    if facts.kind == "video" and FIT in facts.files:
        moving = Moving(store.read(avatar, CLIP), store.read(avatar, FIT), facts.fps)
    return Drawing(store.read(avatar, GLB), size, moving=moving)
