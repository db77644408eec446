"""Stand-ins for what sees a face, for tests of all that is around it: quick, and told what to say."""

import asyncio
import io
import threading
from typing import ClassVar

import numpy as np
from PIL import Image

from emotalk_avatar import registering
from emotalk_avatar.errors import UnreadablePicture
from emotalk_avatar.face import LANDMARKS, Face, Picture
from emotalk_avatar.quality import Quality
from emotalk_client.faces import head


class Parts:
    """``registering``'s parts: a picture of any size has a face in its middle.

    ``refusal`` is raised instead of a face; ``hold()`` keeps registrations where the face is looked for.
    """

    def __init__(self, monkeypatch):
        self.refusal = None
        self.warnings = ()
        self.seen = self.looking = self.most_looking = self.cancelled = 0
        self.free = threading.Event()
        self.free.set()
        self.slow = None
        """Width of the pictures that are held; None: all."""
        for name in ("decode", "find_face", "judge", "fit"):
            monkeypatch.setattr(registering, name, getattr(self, name))

    def decode(self, data):
        try:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except OSError as error:
            raise UnreadablePicture(f"the file is not a picture: {error}") from error
        return Picture(pixels)

    async def find_face(self, picture, models):  # noqa: ARG002  # the function's
        self.looking += 1
        self.most_looking = max(self.most_looking, self.looking)
        self.seen += 1
        try:
            while not self.free.is_set() and self.slow in (None, picture.width):
                await asyncio.sleep(0.005)
            if self.refusal is not None:
                raise self.refusal
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.looking -= 1
        width, height = picture.width, picture.height
        points = np.random.default_rng(0).uniform(0.3, 0.7, (LANDMARKS, 3)) * [width, height, width]
        box = (0.3 * width, 0.3 * height, 0.7 * width, 0.7 * height)
        return Face(points.astype(np.float32), np.zeros(52, np.float32), 0.99, box)

    def judge(self, picture, face):  # noqa: ARG002  # likewise
        return Quality(self.warnings, {"presence": face.presence})

    def fit(self, picture, face, glasses=False):  # noqa: ARG002  # likewise
        return self

    neutral = np.zeros(52, np.float32)
    facts: ClassVar = {"open_mouth": False}

    def glb(self):
        """What is fitted here: the bundled head, as it is."""
        return head.read()

    def hold(self):
        self.free.clear()

    def go_on(self):
        self.free.set()


def photograph(width=96, height=128, seed=0, kind="JPEG"):
    """The bytes of a picture: noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()
