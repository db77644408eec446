"""From a clip to the package of an avatar that moves by itself: followed, fitted and encoded anew, frame by frame.

Rule that this module guards: **one frame is held at a time.** A clip has up to 600, of a megabyte or more each.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import tempfile
from pathlib import Path

import numpy as np

from emotalk_avatar.clips import FittedClip, fit_clip
from emotalk_avatar.decoding.structure import kind_of
from emotalk_avatar.decoding.uploads import decode_clip, is_clip
from emotalk_avatar.detection import follow_face
from emotalk_avatar.errors import PictureRefused, UnreadablePicture
from emotalk_avatar.face import Face, Picture
from emotalk_avatar.fitting.framing import Frame
from emotalk_avatar.jpeg import PREVIEW_MARGIN, PREVIEW_SIDE, encoded, square
from emotalk_avatar.models import FaceModels
from emotalk_avatar.package import CLIP, FIT, GLB, POINTS, PREVIEW, Draft, Facts
from emotalk_avatar.quality import Quality, judge
from emotalk_avatar.video.writing import Movie
from emotalk_client.threads import in_thread

_PICTURES = ("gif", "webp")


def is_moving(data: bytes) -> bool:
    """Return whether ``data`` is taken as a clip: a video, or an animated picture where videos can be written."""
    return is_clip(data) and (kind_of(data) not in _PICTURES or importlib.util.find_spec("av") is not None)


async def drafted_clip(data: bytes, facts: Facts, models: FaceModels, *, glasses: bool) -> tuple[Draft, Quality]:
    """Return the package of the clip in ``data``, and the quality of its first frame.

    Args:
        data: the upload: mp4, mov, webm, GIF or animated WEBP.
        facts: what is known beforehand.
        models: what sees the face.
        glasses: True where glasses are worn.

    Raises:
        PictureRefused: its subclass says why no avatar can be made of it, and of which frame.
        ServerError, MissingExtra: as :func:`emotalk_avatar.registering.register`.
    """
    with tempfile.TemporaryFile() as file:  # without a name: nothing of a face is left where this process dies
        path = Path(f"/dev/fd/{file.fileno()}")
        clip = await in_thread(decode_clip, data)
        try:
            frames = iter(clip)
            first = await in_thread(next, frames, None)
            if first is None:
                raise UnreadablePicture("the clip has no frames; accepted: some")
            faces = [await follow_face(first, models, None)]
            quality = await in_thread(judge, first, faces[0])
            frame = Frame.of(first, faces[0])
            with Movie(path, frame.size, clip.fps, 0, suffix=Path(CLIP).suffix) as movie:
                await in_thread(_append, movie, frame, first)
                while (picture := await in_thread(next, frames, None)) is not None:
                    faces.append(await _followed(picture, models, faces))
                    await in_thread(_append, movie, frame, picture)
        finally:
            clip.close()
        file.seek(0)
        source = await in_thread(file.read)
    fitted = await in_thread(lambda: fit_clip(first, faces, clip.fps, frame, glasses=glasses))
    return await in_thread(_packed, facts, fitted, first, faces, quality, source), quality


async def _followed(picture: Picture, models: FaceModels, faces: list[Face]) -> Face:
    try:
        return await follow_face(picture, models, faces[-1])
    except PictureRefused as error:
        raise type(error)(f"frame {len(faces)}: {error}") from error


def _append(movie: Movie, frame: Frame, picture: Picture) -> None:
    movie.picture(frame.picture(picture).pixels)


def _packed(
    facts: Facts, fitted: FittedClip, first: Picture, faces: list[Face], quality: Quality, source: bytes
) -> Draft:
    frame = fitted.frame
    points = np.stack([frame.face(face).landmarks for face in faces])
    files = {
        GLB: fitted.glb(),
        PREVIEW: encoded(square(first.pixels, faces[0].box, PREVIEW_SIDE, PREVIEW_MARGIN)),
        CLIP: source,
        POINTS: points.astype("<f4").tobytes(),
        FIT: fitted.packed(),
    }
    width, height = frame.size
    facts = dataclasses.replace(
        facts,
        kind="video",
        width=width,
        height=height,
        frames=len(faces),
        fps=fitted.fps,
        quality=dict(quality.measures),
        warnings=quality.warnings,
        box=frame.face(faces[0]).box,
        neutral=tuple(np.asarray(fitted.first.neutral, np.float64).tolist()),
        fit=fitted.first.facts,
    )
    return Draft(facts, files)
