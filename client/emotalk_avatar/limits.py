"""Limits of what is uploaded, and of what a face in it must be.

Those of a file hold before and while it is decoded (:mod:`emotalk_avatar.decoding`); those of a face are what
:mod:`emotalk_avatar.quality` refuses or warns of, each measured as that module says.
"""

from __future__ import annotations

# Files ------------------------------------------------------------------------------------------

MAX_PICTURE_BYTES = 20_000_000
MAX_PICTURE_PIXELS = 40_000_000
MAX_WEBP_PIXELS = 12_000_000
"""Its decoder keeps four copies of a picture."""
MAX_PICTURE_SIDE = 8192
"""Pixels."""
KEPT_SIDE = 2048
"""Pixels: a picture whose longer side is longer is made smaller as it is decoded."""

MAX_CLIP_BYTES = 50_000_000
MAX_CLIP_PIXELS = 1920 * 1080
"""Of a frame, either way round."""
MAX_CLIP_SIDE = 1920
"""Pixels."""
MAX_CLIP_S = 24.0
"""A lip-sync server's own clips are of 523 frames at 25 a second."""
MAX_CLIP_DECODED = 2400
"""Frames of a clip, of which those that are too many a second are left out."""
MIN_CLIP_FPS, MAX_CLIP_FPS = 5.0, 30.0
"""Frames per second that are handed out."""
MAX_CLIP_FRAMES = 600
"""Frames that are handed out."""

PICTURE_MEMORY_BYTES = 300_000_000
"""Of the process that decodes a picture, all in all."""
CLIP_MEMORY_BYTES = 600_000_000
"""Likewise, a clip: of addresses, of which FFmpeg's libraries take a part that they never use."""
PICTURE_CPU_S = 8
"""Seconds of a processor for a picture."""
CLIP_CPU_S = 60
"""Likewise, for a clip."""
DECODING_S = 10.0
"""Seconds for a picture, or for one frame of a clip."""

# Faces ------------------------------------------------------------------------------------------

MIN_PRESENCE = 0.9
"""Of a face that counts: upside down and in wallpaper it is far lower."""
MIN_FACE_SHARE = 0.04
"""Width of a second face that counts, by the picture's longer side."""
