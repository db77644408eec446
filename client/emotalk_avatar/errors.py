"""The errors between a photograph and an avatar.

::

    EmoTalkError
    └── AvatarError
        ├── PictureRefused            nothing that an avatar can be made of
        │   ├── UnreadablePicture     no picture, or none of a known format, or a damaged one
        │   ├── PictureTooLarge       more bytes, pixels, frames or seconds than are taken
        │   ├── NoFace                no face is seen
        │   ├── SeveralFaces          more than one is seen
        │   └── PoorPicture           a face, but not one that can be made to speak
        ├── UnknownAvatar             no avatar has that id, or it is somebody else's
        ├── DamagedAvatar             a stored package that is not what was written
        ├── NotDrawable               an avatar that a renderer has no crops of
        ├── AvatarQuotaExceeded       its owner has as many avatars as are taken
        ├── AvatarStoreFull           all owners together have as many as are taken
        ├── InvalidAvatarName         a name, or an owner's, that is not a line of text
        ├── InvalidPackage            a file from elsewhere that is not a package
        └── AvatarExists              a package from elsewhere whose id is taken
"""

from __future__ import annotations

from collections.abc import Mapping

from emotalk_client.errors import EmoTalkError


class AvatarError(EmoTalkError):
    """The base of what this package raises."""


class PictureRefused(AvatarError):
    """A file or a picture that no avatar can be made of."""


class UnreadablePicture(PictureRefused):
    """A file that is not a picture of a known format, or a damaged one."""


class PictureTooLarge(PictureRefused):
    """A picture with more bytes, pixels, frames or seconds than are taken."""


class NoFace(PictureRefused):
    """A picture in which no face is seen."""


class SeveralFaces(PictureRefused):
    """A picture in which more than one face is seen."""


class PoorPicture(PictureRefused):
    """A picture of a face that cannot be made to speak: too small, turned away, blurred, badly lit, eyes closed."""

    def __init__(self, message: str, measures: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.measures: Mapping[str, float] = measures or {}
        """Of :class:`~emotalk_avatar.quality.Quality`, as far as they were measured."""


class UnknownAvatar(AvatarError):
    """An id that no avatar has, or that of somebody else's."""


class DamagedAvatar(AvatarError):
    """A stored package that is not what was written."""


class NotDrawable(AvatarError):
    """An avatar that a neural renderer has no crops of."""


class AvatarQuotaExceeded(AvatarError):
    """An owner who has as many avatars as are taken."""


class AvatarStoreFull(AvatarError):
    """A store whose owners together have as many avatars as are taken."""


class InvalidAvatarName(AvatarError):
    """A name of an avatar or of its owner that is not a line of text."""


class InvalidPackage(AvatarError):
    """A file from elsewhere that is not a package of an avatar."""


class AvatarExists(AvatarError):
    """A package from elsewhere whose id an avatar of the store has."""
