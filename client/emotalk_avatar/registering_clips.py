"""A clip that is registered: its face is followed, fitted once a frame, and its pictures are encoded anew.

Theory of operation. A clip's pixels are gigabytes, so that no more than one frame is held: the clip is decoded twice,
once to follow the face and once to encode the part around it, which is known only when all landmarks are.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.clips import FittedClip, fit_clip, smoothed
from emotalk_avatar.decoding import Clip, decode_clip
from emotalk_avatar.detection import find_face, follow_face
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.jpeg import encoded, square
from emotalk_avatar.models import FaceModels
from emotalk_avatar.package import CLIP, GLB, POINTS, PREVIEW
from emotalk_avatar.quality import Quality, judge
from emotalk_avatar.video.writing import Movie, import_av
from emotalk_client.threads import in_thread

FIT = "fit.f16"
"""Of the package: what its frames need beside the landmarks."""


@dataclass(frozen=True, slots=True)
class DraftedClip:
    """The parts of a package."""

    files: Mapping[str, bytes]
    size: tuple[int, int]
    """Width and height of the stored clip."""
    frames: int
    fps: float
    box: tuple[float, float, float, float]
    """The face in its first frame, pixels."""
    neutral: NDArray[np.float32]
    quality: Quality
    """Of its first frame."""


async def drafted_clip(data: bytes, models: FaceModels, side: int, margin: float) -> DraftedClip:
    """Make the parts of a package of the clip in ``data``.

    Args:
        data: the upload.
        models: what sees the face.
        side: pixels of the preview.
        margin: its side, in those of the face's box.

    Raises:
        PictureRefused: its subclass says why no avatar can be made of it.
        ServerError: its subclass says how the server of ``models`` failed.
        UnwritableVideo: there is no room for it.
        MissingExtra: a library is not installed.
    """
    import_av()
    first: Picture | None = None
    quality: Quality | None = None
    faces: list[Face] = []
    with closing(await in_thread(decode_clip, data)) as clip:
        fps = clip.fps
        async with aclosing(_frames(clip)) as frames:
            async for picture in frames:
                if first is None:
                    first = picture
                    faces.append(await find_face(picture, models))
                    quality = await in_thread(judge, picture, faces[0])
                else:
                    faces.append(await follow_face(picture, models, faces[-1]))
    assert first is not None  # noqa: S101  # decode_clip refuses what has no frames
    assert quality is not None  # noqa: S101  # likewise
    fitted = await in_thread(fit_clip, first, faces, fps)
    shown = Shown(fitted)
    preview = await in_thread(lambda: encoded(square(first.pixels, faces[0].box, side, margin)))
    with closing(await in_thread(decode_clip, data)) as clip:
        movie = await _encoded(clip, shown, fps)
    calm = [shown.face(face) for face in await in_thread(smoothed, faces)]
    files = {
        GLB: await in_thread(fitted.glb),
        PREVIEW: preview,
        CLIP: movie,
        POINTS: np.stack([face.landmarks for face in calm]).astype("<f4").tobytes(),
        FIT: await in_thread(fitted.packed),
    }
    neutral = fitted.first.neutral
    return DraftedClip(files, shown.size, len(faces), fps, calm[0].box, neutral, quality)


class Shown:
    """The part of each frame that is stored: what the fit shows, with sides that video codecs take: even."""

    def __init__(self, fitted: FittedClip) -> None:
        self._frame = fitted.frame
        width, height = self._frame.size
        self.size = (max(2, width - width % 2), max(2, height - height % 2))

    def picture(self, picture: Picture) -> NDArray[np.uint8]:
        """Return RGB [height, width, 3] of that part of ``picture``."""
        part = self._frame.picture(picture).pixels
        if part.shape[1::-1] == self.size:
            return part
        from PIL import Image

        return np.asarray(Image.fromarray(part).resize(self.size, Image.Resampling.LANCZOS))

    def face(self, face: Face) -> Face:
        """Return ``face`` in pixels of that part."""
        there = self._frame.face(face)
        share = np.array(self.size) / self._frame.size
        landmarks = there.landmarks * np.array([*share, share.mean()], np.float32)
        left, top, right, bottom = (np.array(there.box).reshape(2, 2) * share).ravel().tolist()
        return Face(landmarks, there.weights, there.presence, (left, top, right, bottom))


async def _frames(clip: Clip) -> AsyncGenerator[Picture, None]:
    """Yield the pictures of ``clip``, each decoded off the event loop."""
    pictures = iter(clip)
    while (picture := await in_thread(next, pictures, None)) is not None:
        yield picture


async def _encoded(clip: Clip, shown: Shown, fps: float) -> bytes:
    """Return the stored clip: an mp4 without sound."""
    with tempfile.TemporaryDirectory(prefix="emotalk-") as folder:
        path = Path(folder) / CLIP
        with Movie(path, shown.size, fps, 0, threads=1) as movie:
            async with aclosing(_frames(clip)) as frames:
                async for picture in frames:
                    await in_thread(lambda picture=picture: movie.picture(shown.picture(picture)))
        return path.read_bytes()
