"""The moving photograph of an avatar that was made of a clip: its frames, and how the face lies in each.

Rule that this module guards: **a clip takes little memory, however long it is.** Frames are kept as JPEG, and one is
decoded at a time. They are walked to and fro, so that there is no jump from the last to the first.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.package import MAX_FRAMES
from emotalk_avatar.video.writing import import_av
from emotalk_avatar.walking import walked

QUALITY = 92
"""Of the frames that are kept."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a clip."""

    pixels: NDArray[np.uint8]
    """RGB [h, w, 3]."""
    moves: NDArray[np.float32]
    """[V, 2]: metres by which each vertex lies farther right and higher than in the first frame."""
    places: NDArray[np.float32]
    """[V, 2]: likewise its place in the photograph, farther right and lower."""


class Clip:
    """The frames of a clip.

    Args:
        source: ``source.mp4`` of a package.
        fit: its ``fit.f16``.
        fps: frames a second.
        size: width and height that its frames are kept at.

    Raises:
        DamagedAvatar: they are not what a registration wrote.
        MissingExtra: PyAV or Pillow is not installed.
    """

    def __init__(self, source: bytes, fit: bytes, fps: float, size: tuple[int, int]) -> None:
        self._frames = _kept(source, size)
        count = len(self._frames)
        if not count or len(fit) % (8 * count) or not fps > 0:
            raise DamagedAvatar(f"the clip has {count} frames, and its fit {len(fit)} bytes; register it again")
        self._fit = np.frombuffer(fit, "<f2").reshape(count, -1, 4)
        self.vertices: int = self._fit.shape[1]
        """Of the glTF that they are the moves of."""
        self._fps = fps

    def at(self, seconds: float) -> Frame:
        """Return the frame that is seen ``seconds`` after the first."""
        number = walked(int(max(0.0, seconds) * self._fps + 1e-6), len(self._frames))
        moved = self._fit[number].astype(np.float32)
        return Frame(_decoded(self._frames[number]), moved[:, :2], moved[:, 2:])


def _kept(source: bytes, size: tuple[int, int]) -> list[bytes]:
    av = import_av()
    from PIL import Image

    frames: list[bytes] = []
    try:
        with av.open(io.BytesIO(source), format="mov") as file:
            for frame in file.decode(video=0):
                if len(frames) == MAX_FRAMES:
                    break
                picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
                content = io.BytesIO()
                (picture if picture.size == size else picture.resize(size)).save(content, "JPEG", quality=QUALITY)
                frames.append(content.getvalue())
    except (av.error.FFmpegError, IndexError) as error:
        raise DamagedAvatar(f"the clip cannot be read ({error}); register it again") from error
    return frames


def _decoded(content: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))
