"""A lip-sync server's package taken in as an avatar.

::

    package_info.json            its name (``dataset_name``)
    full_body_video.mp4          the frames, 25 a second
    cache/crop_rectangles.json   {"0": {"rect": [left, top, right, bottom]}, …}: the UNet's crop in each frame
    aud_ave.npy                  [n, 512]: features of its own sound; it may be missing
    checkpoint/                  the network: for `emotalk-export renderer`, not for here

Other files of it (the crops and masked pictures as videos of their own) are made anew from these. Nothing is copied as
it is: frames are decoded by a child and encoded again, numbers are read as numbers.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.decoding.uploads import decode_clip
from emotalk_avatar.errors import InvalidPackage
from emotalk_avatar.jpeg import PREVIEW_MARGIN, PREVIEW_SIDE, encoded, square
from emotalk_avatar.limits import MAX_CLIP_BYTES
from emotalk_avatar.naming import EVERYBODY, MAX_NAME, checked_name
from emotalk_avatar.package import CLIP, PREVIEW, Draft, Facts
from emotalk_avatar.renderers.crops import Boxes
from emotalk_avatar.renderers.sitting import CROPS, MAX_ARRAY_BYTES, packed
from emotalk_avatar.video.writing import Movie
from emotalk_contract import renderers as facts
from emotalk_contract.quoting import quoted

INFO, VIDEO, RECTANGLES, SOUND = (
    "package_info.json",
    "full_body_video.mp4",
    "cache/crop_rectangles.json",
    "aud_ave.npy",
)
MOST_JSON_BYTES = 4 * 2**20
MOST_CORNER = 2**15
"""Pixels, either sign."""


def is_seed_package(folder: Path) -> bool:
    """Return whether ``folder`` looks like such a package."""
    return (folder / INFO).is_file()


def imported(folder: Path, name: str | None = None, owner: str = EVERYBODY) -> Draft:
    """Return the package in ``folder`` as an avatar of kind ``video``; it takes seconds, and blocks.

    Args:
        name: for people; None: the package's own.

    Raises:
        InvalidPackage: a file is missing, or is not what it must be.
        PictureRefused: its video cannot be decoded.
        InvalidAvatarName: ``name`` or ``owner`` is not a line of text.
        MissingExtra: PyAV or Pillow is not installed.
    """
    info = _json(folder, INFO)
    own = info.get("dataset_name") or info.get("package_name") or folder.name
    title = checked_name(str(own)[:MAX_NAME] if name is None else name)
    rectangles = _rectangles(_json(folder, RECTANGLES), folder)
    features = _features(folder / SOUND)
    video = _bytes(folder / VIDEO, MAX_CLIP_BYTES)
    with tempfile.TemporaryDirectory(prefix="emotalk-") as place:
        path = Path(place) / CLIP
        with decode_clip(video) as clip:
            size = clip.width & ~1, clip.height & ~1
            first: NDArray[np.uint8] | None = None
            count = 0
            with Movie(path, size, clip.fps, 0) as movie:
                for picture in clip:
                    pixels = np.ascontiguousarray(picture.pixels[: size[1], : size[0]])
                    first = pixels if first is None else first
                    movie.picture(pixels)
                    count += 1
            fps = clip.fps
        content = path.read_bytes()
    if first is None:
        raise InvalidPackage(f"{folder / VIDEO} has no frames; accepted: some")
    if len(rectangles) < count:
        raise InvalidPackage(
            f"{folder / RECTANGLES} has the rectangles of {len(rectangles)} frames; accepted: one for each of the "
            f"{count} frames of {VIDEO}"
        )
    left, top, right, bottom = map(float, rectangles[0])
    about = Facts(
        name=title,
        owner=checked_name(owner, "owner"),
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        kind="video",
        width=size[0],
        height=size[1],
        source_sha256=hashlib.sha256(video).hexdigest(),
        frames=count,
        fps=float(fps),
        box=(left, top, right, bottom),
    )
    files = {
        PREVIEW: encoded(square(first, about.box, PREVIEW_SIDE, PREVIEW_MARGIN)),
        CLIP: content,
        CROPS: packed({"unet328": rectangles[:count]}, features),
    }
    return Draft(about, files)


def _bytes(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InvalidPackage(f"{path} cannot be read ({error.strerror or error}); accepted: a whole package") from error
    if len(content) > most:
        raise InvalidPackage(f"{path} has more than {most} bytes; accepted: at most {most}")
    return content


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    try:
        found = json.loads(_bytes(path, MOST_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise InvalidPackage(f"{path} is not JSON; accepted: an object") from error
    if not isinstance(found, dict):
        raise InvalidPackage(f"{path} is not an object; accepted: an object")
    return found


def _rectangles(found: dict[str, Any], folder: Path) -> Boxes:
    """Return the rectangles [n, 4] of the frames 0, 1, … as far as there are some."""
    boxes: list[list[int]] = []
    while isinstance(one := found.get(str(len(boxes))), dict):
        corners = one.get("rect")
        if (
            not isinstance(corners, list)
            or len(corners) != 4
            or any(isinstance(c, bool) or not isinstance(c, int | float) for c in corners)
            or not all(-MOST_CORNER <= c <= MOST_CORNER for c in corners)
            or corners[2] <= corners[0]
            or corners[3] <= corners[1]
        ):
            raise InvalidPackage(
                f"{folder / RECTANGLES}: the rect of frame {len(boxes)} is {quoted(corners)}; accepted: [left, top, "
                "right, bottom] in pixels"
            )
        boxes.append([round(c) for c in corners])
    if not boxes:
        raise InvalidPackage(f'{folder / RECTANGLES} has no frame 0; accepted: {{"0": {{"rect": […]}}, …}}')
    return np.array(boxes, np.int32)


def _features(path: Path) -> NDArray[np.float32] | None:
    if not path.exists():
        return None
    try:
        return _array(path)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidPackage(
            f"{path} is not what it must be ({error}); accepted: [n, {facts.FEATURE_WIDTH}] of floats"
        ) from error


def _array(path: Path) -> NDArray[np.float32]:
    if path.stat().st_size > MAX_ARRAY_BYTES:
        raise ValueError(f"more than {MAX_ARRAY_BYTES} bytes")
    found = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header cannot ask for memory
    if found.ndim != 2 or found.shape[1] != facts.FEATURE_WIDTH or found.dtype.kind != "f" or not len(found):
        raise ValueError(f"{list(found.shape)} of {found.dtype}")
    if not np.isfinite(found).all():
        raise ValueError("numbers that are not finite")
    return np.array(found, np.float32)
