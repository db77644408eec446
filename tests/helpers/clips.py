"""Short videos and animations, drawn here: the frame's number is its grey."""

import io
import struct

import av
import numpy as np
from PIL import Image

STEP = 8
"""Of grey, from one frame to the next."""


def drawn(number, size=(64, 48)):
    """RGB [h, w, 3]: red above green on the left, the frame's grey on the right."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (224, 32, 32)
    pixels[height // 2 :, : width // 2] = (32, 192, 64)
    pixels[:, width // 2 :] = STEP * number % 256
    return pixels


def number_of(pixels):
    """The number of the frame that was drawn."""
    height, width = pixels.shape[:2]
    return round(float(pixels[height // 4 : 3 * height // 4, 3 * width // 4 :].mean()) / STEP)


def film(codec="libx264", container="mp4", frames=10, rate=30, size=(64, 48)):
    """A video's bytes."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as made:
        stream = made.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "10"}
        for number in range(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(drawn(number, size), format="rgb24")):
                made.mux(packet)
        for packet in stream.encode():
            made.mux(packet)
    return file.getvalue()


def lying(video):
    """The mp4 ``video`` with a matrix that turns it to the right, as a telephone held upright writes it."""
    track = video.index(b"tkhd") + 4
    matrix = track + 4 + (32 if video[track] else 20) + 16
    turned = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    return video[:matrix] + turned + video[matrix + len(turned) :]


def animation(kind="GIF", delays_ms=(100,) * 5, size=(64, 48)):
    """An animation's bytes, a frame for each delay."""
    file = io.BytesIO()
    first, *others = (Image.fromarray(drawn(number, size)) for number in range(len(delays_ms)))
    options = {"lossless": True} if kind == "WEBP" else {"disposal": 2}
    first.save(file, kind, save_all=True, append_images=others, duration=list(delays_ms), loop=0, **options)
    return file.getvalue()
