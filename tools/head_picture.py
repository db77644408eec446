"""``python tools/head_picture.py FILE``: the bundled head as a portrait, drawn without a screen (extra ``video``).

A picture of a person who does not exist: what tests and documentation register as an avatar.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emotalk_avatar.video.context import open_context
from emotalk_client.faces import head

SIZE_PX = 1024
HEAD_HEIGHT_PX = 963
"""Of the head's 0.283 m."""
RAISED_PX = -30
"""The middle of the head lies this much below that of the picture."""
BACKDROP = (0.35, 0.4, 0.45)
LIGHT = np.array([0.25, 0.45, 0.85]) / np.linalg.norm([0.25, 0.45, 0.85])
AMBIENT = 0.35
SAMPLES = 4

_VERTEX = """#version 330
in vec3 place; in vec4 colour; out vec4 shade; uniform float size;
void main() { gl_Position = vec4(place.xy / size * 2.0 - 1.0, -place.z / size, 1.0); shade = colour; }
"""
_FRAGMENT = """#version 330
in vec4 shade; out vec4 pixel;
void main() { pixel = shade; }
"""

Place = Callable[[NDArray[np.floating[Any]]], NDArray[np.float64]]
"""Metres of the head [V, 3] to pixels, y down, z towards the viewer."""


def centre_px() -> NDArray[np.float64]:
    """The middle of the head."""
    return np.array([SIZE_PX / 2, SIZE_PX / 2 - RAISED_PX], np.float64)


def drawn(tint: Sequence[float] = (1.0, 1.0, 1.0)) -> tuple[NDArray[np.uint8], Place]:
    """Return the portrait, RGB [1024, 1024, 3], and the map of the head's metres to its pixels.

    Args:
        tint: factors [3] of the skin's colour: (0.36, 0.30, 0.28) is very dark skin.
    """
    parts = head.parts()
    tall = np.ptp(parts[0].points[:, 1])
    centre = centre_px()

    def place(points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        placed: NDArray[np.float64] = points * np.array([1, -1, 1]) * (HEAD_HEIGHT_PX / tall) + [*centre, 0]
        return placed

    with open_context() as context:
        program = context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        program["size"].value = SIZE_PX
        size = (SIZE_PX, SIZE_PX)
        canvas = context.framebuffer(
            [context.renderbuffer(size, 4, samples=SAMPLES)], context.depth_renderbuffer(size, samples=SAMPLES)
        )
        canvas.use()
        context.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
        canvas.clear(*BACKDROP, depth=1.0)
        for part in parts:
            shade = AMBIENT + (1 - AMBIENT) * np.clip(part.normals @ LIGHT, 0, 1)
            colour = part.colours.copy()
            colour[:, :3] = _encoded(part.colours[:, :3]) * shade[:, None]
            if part.name == "skin":
                colour[:, :3] *= tint
            corners = np.c_[place(part.points), colour].astype(np.float32)
            context.vertex_array(
                program,
                [(context.buffer(corners.tobytes()), "3f 4f", "place", "colour")],
                context.buffer(part.triangles.astype(np.int32).tobytes()),
            ).render()
        plain = context.simple_framebuffer(size, 3)
        context.copy_framebuffer(plain, canvas)
        # Rows of a framebuffer run upwards, and so do the picture's here: y was not turned round.
        pixels = np.frombuffer(plain.read(components=3, alignment=1), np.uint8).reshape(SIZE_PX, SIZE_PX, 3)
        return pixels.copy(), place


def _encoded(colour: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """sRGB of a linear colour (IEC 61966-2-1)."""
    linear = np.clip(colour, 0, 1)
    encoded: NDArray[np.float64] = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return encoded


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    Image.fromarray(drawn()[0]).save(parser.parse_args().file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
