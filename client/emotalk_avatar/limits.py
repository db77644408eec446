"""Limits of what is uploaded, and of what a face in it must be.

Those of a file hold before and while it is decoded (:mod:`emotalk_avatar.decoding.uploads`); those of a face are what
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

# Beyond the first number of a pair it is refused, beyond the second warned of.
MIN_INTEROCULAR_PX, GOOD_INTEROCULAR_PX = 40, 80
MAX_YAW_DEG, GOOD_YAW_DEG = 20, 12
MAX_PITCH_DEG, GOOD_PITCH_DEG = 25, 18
MAX_ROLL_DEG, GOOD_ROLL_DEG = 45, 20
MIN_INSIDE, GOOD_INSIDE = 0.9, 0.995
MIN_SHARPNESS, GOOD_SHARPNESS = 8, 40
MIN_CONTRAST, GOOD_CONTRAST = 5, 15
MIN_EYE_LIGHT, GOOD_EYE_LIGHT = 30, 60
"""A face is dark where both its contrast and the light of its eyes are less."""
MAX_CLIPPED, GOOD_CLIPPED = 0.3, 0.1
GOOD_LIGHT_RATIO = 1.6
"""Of the lighter half to the other."""
MAX_BLINK = 0.5
GOOD_LIP_GAP = 0.06
GOOD_SMILE = 0.5
