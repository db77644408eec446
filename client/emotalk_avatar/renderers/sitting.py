"""A stored avatar, read for a neural renderer: its pictures, where its face is in them, and sound that came with it.

Nothing is looked for in the pictures: the boxes come from the landmarks of the registration, or with the package.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.decoding.uploads import decode, decode_clip
from emotalk_avatar.errors import DamagedAvatar
from emotalk_avatar.jpeg import encoded
from emotalk_avatar.package import CLIP, PICTURE, POINTS, Metadata, points
from emotalk_avatar.renderers.crops import Boxes, unet_boxes, wav2lip_boxes
from emotalk_avatar.renderers.rendering import Pixels, Sitter
from emotalk_client.errors import MissingExtra
from emotalk_contract import renderers as facts
from emotalk_contract.renderers import Renderer

CROPS = "crops.npz"
FEATURES = "features"
"""In it, beside the renderers' boxes [frames, 4]: of the avatar's own sound, [n, 512]."""
MAX_ARRAY_BYTES = 64 * 2**20
"""Of what is in the file, unpacked."""
KEPT_QUALITY = 95
"""Of the pictures that are kept in memory as JPEG: a clip's own pixels are gigabytes."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """An avatar, ready to be drawn."""

    kept: tuple[bytes, ...]
    """Its frames, as JPEG."""
    fps: float
    boxes: dict[Renderer, Boxes]
    features: NDArray[np.float32] | None
    """Of the sound that came with it; None: none did."""

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return sum(map(len, self.kept)) + (0 if self.features is None else self.features.nbytes)

    def frame(self, number: int) -> Pixels:
        """Return RGB [height, width, 3] of the frame with this number."""
        return _pixels(self.kept[number])

    def sitter(self) -> Sitter:
        """Return it as what :func:`~emotalk_avatar.renderers.rendering.frames` takes."""
        return Sitter(self.frame, len(self.kept), self.fps, self.boxes)


def sitting_of(metadata: Metadata, read: Callable[[str], bytes]) -> Sitting:
    """Return the avatar that ``metadata`` describes; it takes up to seconds, and blocks.

    Args:
        read: returns the bytes of a file of its package.

    Raises:
        DamagedAvatar: its files are not what they must be.
        PictureRefused: its pictures cannot be decoded.
        MissingExtra: it is a clip, and what decodes those is not installed.
    """
    kept: tuple[bytes, ...]
    if metadata.kind == "image":
        kept = (encoded(decode(read(PICTURE)).pixels, KEPT_QUALITY),)
    else:
        with decode_clip(read(CLIP)) as clip:
            kept = tuple(encoded(picture.pixels, KEPT_QUALITY) for picture in clip)
    boxes: dict[Renderer, Boxes] = {}
    features = None
    if CROPS in metadata.files:
        boxes, features = _read_crops(read(CROPS), metadata)
    if POINTS in metadata.files:
        landmarks = points(read(POINTS))
        found: dict[Renderer, Boxes] = {"wav2lip": wav2lip_boxes(landmarks), "unet328": unet_boxes(landmarks)}
        boxes = found | boxes
    count = min([len(kept), *map(len, boxes.values())])
    if not boxes or not count:
        raise DamagedAvatar(f"avatar {metadata.id} does not tell where its face is; register it again")
    return Sitting(kept[:count], metadata.fps, boxes, features)


def packed(boxes: dict[Renderer, Boxes], features: NDArray[np.float32] | None) -> bytes:
    """Return what is stored as :data:`CROPS`."""
    out = io.BytesIO()
    arrays: dict[str, Any] = {str(name): one for name, one in boxes.items()}
    if features is not None:
        arrays[FEATURES] = features.astype("<f4")
    np.savez(out, **arrays)
    return out.getvalue()


def _read_crops(content: bytes, metadata: Metadata) -> tuple[dict[Renderer, Boxes], NDArray[np.float32] | None]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_ARRAY_BYTES:
            raise DamagedAvatar(f"avatar {metadata.id}: {CROPS} unpacks to {size} bytes; accepted: {MAX_ARRAY_BYTES}")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            boxes: dict[Renderer, Boxes] = {
                name: _shaped(arrays[name], 4).astype(np.int32) for name in facts.RENDERERS if name in arrays
            }
            features = _shaped(arrays[FEATURES], facts.FEATURE_WIDTH) if FEATURES in arrays else None
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DamagedAvatar(f"avatar {metadata.id}: {CROPS} is not what it must be ({error})") from error
    return boxes, None if features is None else features.astype(np.float32)


def _shaped(array: NDArray[Any], width: int) -> NDArray[Any]:
    if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "if" or not np.isfinite(array).all():
        raise ValueError(f"an array of shape {list(array.shape)}; accepted: [n, {width}] of numbers")
    return array


def _pixels(jpeg: bytes) -> Pixels:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("avatars need Pillow; install `emotalk-triton[avatar]`") from error
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
        return np.asarray(picture.convert("RGB"))
