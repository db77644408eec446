"""Measures processor time of drawing and encoding a picture: ``python tools/video_cost.py [--glb FILE] [--size WxH]``.

One thread, the sample voice's face with life in it (``--face``, made by ``emotalk animate``), every picture of it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("LP_NUM_THREADS", "0")  # before Mesa is loaded

from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.encoding import encoder
from emotalk_avatar.video.framing import CODINGS
from emotalk_avatar.video.living import shown
from emotalk_avatar.video.picturing import read_size
from emotalk_client.faces.animation import Animation
from emotalk_contract.timing import FPS

logger = logging.getLogger(__name__)


def main() -> None:
    """Write a line for each coding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--face", type=Path, required=True, help="An animation, such as face.npy.")
    parser.add_argument("--glb", type=Path, help="An avatar's glTF. Default: the bundled head.")
    parser.add_argument("--size", help="WIDTHxHEIGHT.")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    faces = shown(Animation.load(given.face), FPS)
    drawing = Drawing(None if given.glb is None else given.glb.read_bytes(), read_size(given.size))
    width, height = drawing.size
    for coding in CODINGS:
        coder = encoder(coding, drawing.size)
        drawn = encoded = 0.0
        size = 0
        for weights, head in zip(faces.weights, faces.head, strict=True):
            began = time.process_time()
            pixels = drawing.draw(weights, head)
            between = time.process_time()
            size += len(coder.encode(pixels, key=False)[1])
            drawn, encoded = drawn + between - began, encoded + time.process_time() - between
        count = len(faces.weights)
        logger.info(
            "%dx%d %s: %.1f ms to draw, %.1f ms to encode, %.0f a second, %.0f kbit/s",
            *(width, height, coding, 1e3 * drawn / count, 1e3 * encoded / count),
            *(count / (drawn + encoded), size * 8 / 1000 / (count / FPS)),
        )


if __name__ == "__main__":
    main()
