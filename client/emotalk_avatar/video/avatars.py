"""The files of a package that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from emotalk_avatar.package import CLIP, FIT, GLB, Avatar
from emotalk_avatar.video.clip import Clip
from emotalk_avatar.video.drawing import ClipOf


@dataclass(frozen=True, slots=True)
class Drawn:
    """An avatar as it is drawn."""

    glb: bytes
    clip: bytes = b""
    """Of one that was made of a clip: ``source.mp4``; empty: of a photograph."""
    fit: bytes = b""
    """Its ``fit.f16``."""
    fps: float = 0.0
    """Frames a second of the clip."""

    @property
    def clip_of(self) -> ClipOf | None:
        """As :class:`~emotalk_avatar.video.drawing.Drawing` takes it."""
        return partial(Clip, self.clip, self.fit, self.fps) if self.clip else None


def drawn(avatar: Avatar, read: Callable[[Avatar, str], bytes]) -> Drawn:
    """Return what of ``avatar`` is drawn; ``read`` gives its files.

    Raises:
        UnknownAvatar: it has no file of that name.
        DamagedAvatar: a file is not what was written.
    """
    glb = read(avatar, GLB)
    if avatar.metadata.kind == "image" or FIT not in avatar.metadata.files:
        return Drawn(glb)
    return Drawn(glb, read(avatar, CLIP), read(avatar, FIT), avatar.metadata.fps)
