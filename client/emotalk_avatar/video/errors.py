"""The errors between a face and a video of it.

::

    EmoTalkError
    └── AvatarError
        └── VideoError
            ├── NoDisplay             this machine cannot draw
            ├── InvalidVideo          a size, a rate, a colour or a picture that no video can have
            ├── UnwritableVideo       FFmpeg's libraries refuse, or there is no room
            └── DrawingFailed         the process that draws died, or did not answer
"""

from __future__ import annotations

from emotalk_avatar.errors import AvatarError


class VideoError(AvatarError):
    """The base of what this package raises."""


class NoDisplay(VideoError):
    """A machine on which nothing can be drawn: EGL or a driver is missing."""


class InvalidVideo(VideoError):
    """A size, a rate, a colour or a background that no video can have."""


class UnwritableVideo(VideoError):
    """A video that cannot be written."""


class DrawingFailed(VideoError):
    """The process that draws died, or did not answer in time."""
