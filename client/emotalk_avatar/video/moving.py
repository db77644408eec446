"""Frames of an avatar that moves by itself (:mod:`emotalk_avatar.clips`), by the time, to and fro."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.clips import walked
from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.video.writing import import_av

QUALITY = 90
"""Of the frames, which are kept as JPEG."""


@dataclass(frozen=True, slots=True)
class MovingFrame:
    """One frame of a clip."""

    pixels: NDArray[np.uint8]
    """RGB [height, width, 3]."""
    moves: NDArray[np.float32]
    """[V, 2] metres, right and up, from the places of the glTF's vertices."""
    places: NDArray[np.float32]
    """[V, 2], right and down, from those in the texture."""


class Moving:
    """All frames of a clip.

    Args:
        source: the package's ``source.mp4``, which this project encoded.
        differences: its ``fit.f16``.
        fps: frames a second.

    Raises:
        DamagedAvatar: they do not fit each other.
        MissingExtra: PyAV is not installed.
    """

    def __init__(self, source: bytes, differences: bytes, fps: float) -> None:
        self.fps = fps
        self._frames = _frames(source)
        values = np.frombuffer(differences, "<f2")
        if not self._frames or values.size % (4 * len(self._frames)):
            raise DamagedAvatar(f"a clip of {len(self._frames)} frames has {values.size} differences")
        self._differences = values.reshape(len(self._frames), -1, 4)

    @property
    def vertices(self) -> int:
        """Of the glTF that it belongs to."""
        return self._differences.shape[1]

    def at(self, seconds: float) -> MovingFrame:
        """Return the frame that is seen after ``seconds``."""
        from PIL import Image

        number = walked(round(seconds * self.fps), len(self._frames))
        pixels = np.asarray(Image.open(io.BytesIO(self._frames[number])))
        differs = self._differences[number].astype(np.float32)
        return MovingFrame(pixels, differs[:, :2], differs[:, 2:])


def _frames(source: bytes) -> list[bytes]:
    """Decode the video; its frames as JPEG."""
    from PIL import Image

    av = import_av()
    frames = []
    try:
        with av.open(io.BytesIO(source), format="mp4") as file:
            for frame in file.decode(video=0):
                out = io.BytesIO()
                Image.fromarray(frame.to_ndarray(format="rgb24")).save(out, "JPEG", quality=QUALITY)
                frames.append(out.getvalue())
    except (av.error.FFmpegError, IndexError) as error:
        raise DamagedAvatar(f"the clip cannot be decoded: {error}; accepted: one that this project wrote") from error
    return frames
