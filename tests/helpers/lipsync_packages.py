"""A lip-sync server's package, made here from seeded pictures; and avatars of such packages."""

import io
import json

import av
import numpy as np

from emotalk_avatar.seed_package import INFO, RECTANGLES, SOUND, VIDEO

SIDE = 160
"""Pixels of the frames."""
FEATURES = 12


def package(folder, frames=6, features=FEATURES, name="Sanders"):
    """Write one; frame k is greyer than the one before, and its face moves two pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cache").mkdir(exist_ok=True)
    (folder / INFO).write_text(json.dumps({"dataset_name": name, "package_version": "1.0"}))
    noise = np.random.default_rng(0).integers(0, 60, (SIDE // 8, SIDE // 8, 3)).repeat(8, 0).repeat(8, 1)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as made:
        stream = made.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray((noise + 10 * k).astype(np.uint8), format="rgb24")
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    (folder / VIDEO).write_bytes(file.getvalue())
    rectangles = {str(k): {"rect": [30 + 2 * k, 40, 110 + 2 * k, 120]} for k in range(frames)}
    (folder / RECTANGLES).write_text(json.dumps(rectangles))
    if features:
        spread = np.random.default_rng(1).uniform(-1, 1, (features, 512))
        np.save(folder / SOUND, spread.astype(np.float32))
    return folder
