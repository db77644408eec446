"""Draw for another process; run by :mod:`.elsewhere`, not imported.

Standard input and output carry the messages of :mod:`.framing`. What hangs or dies here, in a driver or a codec, is
this process alone.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import BinaryIO

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules have the names of others

from emotalk_avatar.video import framing
from emotalk_avatar.video.clip import Clip
from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.encoding import MICROSECONDS, Encoder, encoder
from emotalk_avatar.video.errors import DrawingFailed
from emotalk_avatar.video.living import Shown
from emotalk_avatar.video.marking import Mark
from emotalk_avatar.video.rendering import opened_sound, write
from emotalk_client.errors import EmoTalkError

EVERY = 15
"""Pictures of a file from one word of its progress to the next."""


def serve(given: BinaryIO, said: BinaryIO) -> None:
    """Answer one order."""

    def say(kind: bytes, payload: bytes = b"") -> None:
        said.write(framing.message(kind, payload))
        said.flush()

    try:
        order = framing.Order.unpacked(_next(given, framing.ORDER))
        content = _next(given, framing.GLB) if order.avatar else None
        clip = None
        if order.clip_fps:
            clip = partial(Clip, _next(given, framing.CLIP), _next(given, framing.FIT), order.clip_fps)
        drawing = Drawing(content, order.size, order.background, clip)
        if order.coding is None:
            _file(order, drawing, given, say)
        else:
            _live(order, drawing, encoder(order.coding, drawing.size), given, say)
    except EmoTalkError as error:
        say(framing.ERROR, json.dumps({"error": type(error).__name__, "message": str(error)}).encode())


def _next(given: BinaryIO, kind: bytes) -> bytes:
    found = framing.read(given)
    if found is None or found[0] != kind:
        raise DrawingFailed("the order ended early")
    return found[1]


def _file(order: framing.Order, drawing: Drawing, given: BinaryIO, say: object) -> None:
    assert callable(say)  # noqa: S101  # for the types
    say(framing.READY, json.dumps(drawing.size).encode())
    _, _, weights, head = framing.from_rows(_next(given, framing.FRAMES))

    def progress(done: int, of: int) -> None:
        if done % EVERY == 0 or done == of:
            say(framing.PROGRESS, str(done).encode())

    with opened_sound(Path(order.sound) if order.sound else None) as sound:
        write(
            Shown(weights, head),
            sound,
            drawing,
            Path(order.out),
            fps=order.fps,
            mark=order.mark,
            suffix=order.suffix,
            threads=1,
            progress=progress,
        )
    say(framing.DONE)


def _live(order: framing.Order, drawing: Drawing, coder: Encoder, given: BinaryIO, say: object) -> None:
    assert callable(say)  # noqa: S101  # for the types
    words = Mark(drawing.size) if order.mark else None
    say(framing.READY, json.dumps(drawing.size).encode())
    key = True
    while (found := framing.read(given)) is not None and found[0] != framing.END:
        kind, payload = found
        if kind == framing.KEYFRAME:
            key = True
            continue
        for index, number, weights, head in zip(*framing.from_rows(payload), strict=True):
            pixels = drawing.draw(weights, head, float(number) / order.fps)
            if words is not None:
                words.put(pixels)
            flags, content = coder.encode(pixels, key)
            key = False
            at = round(float(index) * MICROSECONDS / order.fps)
            say(framing.PICTURE, framing.CHUNK.pack(flags, at) + content)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    serve(sys.stdin.buffer, answers)
