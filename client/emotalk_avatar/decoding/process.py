"""Decode the upload that is standard input; run by :mod:`.uploads`, not imported.

The argument is ``picture`` or ``clip``. Standard output has a line of JSON, ``{"fps", "width", "height"}``; for each
frame the byte ``F`` and its pixels, RGB [height, width, 3]; and ``E``. Instead of any of these it may have ``R`` and a
line of JSON, ``{"error", "message"}``: a refusal, by the name of its class in :mod:`emotalk_avatar.errors`.
"""

from __future__ import annotations

import json
import resource
import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules have the names of others
    from emotalk_avatar import limits
    from emotalk_avatar.decoding.frames import Refusal

    of_a_clip = sys.argv[1] == "clip"
    if of_a_clip:
        from emotalk_avatar.decoding.clips import frames
    else:
        from emotalk_avatar.decoding.pictures import frames

    for limit, most in (
        (resource.RLIMIT_AS, limits.CLIP_MEMORY_BYTES if of_a_clip else limits.PICTURE_MEMORY_BYTES),
        (resource.RLIMIT_CPU, limits.CLIP_CPU_S if of_a_clip else limits.PICTURE_CPU_S),
        (resource.RLIMIT_FSIZE, 2**16),  # of what it says of errors
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    out = sys.stdout.buffer
    try:
        begun = False
        for frame in frames(sys.stdin.buffer):
            if not begun:
                facts = {"fps": frame.fps, "width": frame.width, "height": frame.height}
                out.write(json.dumps(facts).encode() + b"\n")
                begun = True
            out.write(b"F")
            out.write(frame.rgb)
            out.flush()
        out.write(b"E")
    except Refusal as refusal:
        out.write(b"R" + json.dumps({"error": refusal.error, "message": str(refusal)}).encode() + b"\n")
