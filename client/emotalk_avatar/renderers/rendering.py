"""Sound and the pictures of an avatar into the frames of a video, the mouth drawn by a neural network.

Theory of operation. Everything is laid out by time: frame i of the video is at i / fps seconds; the network hears the
sound from there, and the avatar's own frames are walked to and fro, so that none jumps. A handful of frames are asked
for together. A photograph is the one frame of its avatar.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.renderers.composition import framed, pasted
from emotalk_avatar.renderers.crops import (
    Boxes,
    cut,
    pictures,
    unet_boxes,
    unet_input,
    wav2lip_boxes,
    wav2lip_input,
)
from emotalk_avatar.renderers.hearing import around, features_of
from emotalk_avatar.renderers.mel import mel, windows
from emotalk_avatar.renderers.networks import AT_ONCE, RendererModels
from emotalk_client.threads import in_thread
from emotalk_contract import renderers as facts
from emotalk_contract.renderers import Renderer
from emotalk_contract.timing import SAMPLE_RATE

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sitter:
    """The pictures of an avatar, and where its face is."""

    frame: Callable[[int], Pixels]
    """Returns RGB [height, width, 3] of a frame, by its number."""
    count: int
    """Frames."""
    fps: float
    """Of them; nothing to a photograph."""
    boxes: dict[Renderer, Boxes]
    """The part that each renderer draws, in every frame."""

    @classmethod
    def of(cls, frames: Callable[[int], Pixels], landmarks: NDArray[np.float32], fps: float = 0.0) -> Sitter:
        """Return the one whose faces are at ``landmarks`` [n, 478, 3]."""
        boxes: dict[Renderer, Boxes] = {"wav2lip": wav2lip_boxes(landmarks), "unet328": unet_boxes(landmarks)}
        return cls(frames, len(landmarks), fps, boxes)

    def number(self, seconds: float) -> int:
        """Return the number of the frame at ``seconds``, walked to and fro: each end is shown once."""
        if self.count < 2:
            return 0
        place = math.floor(seconds * self.fps + 1e-6) % (2 * self.count - 2)
        return place if place < self.count else 2 * self.count - 2 - place


class Mouth(Protocol):
    """The way in which one renderer draws frames."""

    async def draw(self, crops: NDArray[np.uint8], numbers: NDArray[np.int64], fps: float) -> NDArray[np.uint8]:
        """Return the drawn parts of the frames with these ``numbers``."""


async def frames(
    samples: NDArray[np.float32],
    sitter: Sitter,
    renderer: Renderer,
    models: RendererModels,
    *,
    fps: float = facts.NETWORK_FPS,
    count: int | None = None,
) -> AsyncGenerator[Pixels, None]:
    """Yield the frames [height, width, 3] of ``sitter``, RGB, who says ``samples`` (16 kHz, mono, -1..1).

    Args:
        renderer: which network draws the mouth.
        fps: of the video; any.
        count: of the frames; None: as many as the sound is long.

    Raises:
        ModelMissing: the server does not have the renderer.
        ServerError: its subclass says how the server failed.
    """
    total = count if count is not None else max(1, math.ceil(len(samples) * fps / SAMPLE_RATE - 1e-9))
    boxes = sitter.boxes[renderer]
    mouth: Mouth = (
        _Wav2Lip(await in_thread(mel, samples), models)
        if renderer == "wav2lip"
        else _Unet(await features_of(samples, models), models)
    )
    side = facts.WAV2LIP_SIDE if renderer == "wav2lip" else facts.UNET_CROP_SIDE
    for first in range(0, total, AT_ONCE):
        numbers = np.arange(first, min(total, first + AT_ONCE))
        own = [sitter.number(int(i) / fps) for i in numbers]
        whole = [await in_thread(sitter.frame, i) for i in own]
        crops = np.stack([cut(pixels, boxes[i], side) for pixels, i in zip(whole, own, strict=True)])
        drawn = await mouth.draw(crops, numbers, fps)
        for pixels, patch, i in zip(whole, drawn, own, strict=True):
            yield pasted(pixels, patch, boxes[i])


class _Wav2Lip:
    def __init__(self, spectrogram: NDArray[np.float32], models: RendererModels) -> None:
        self._spectrogram = spectrogram
        self._models = models

    async def draw(self, crops: NDArray[np.uint8], numbers: NDArray[np.int64], fps: float) -> NDArray[np.uint8]:
        """See :class:`Mouth`."""
        heard = windows(self._spectrogram, len(numbers), fps, first=int(numbers[0]))
        return pictures(await self._models.wav2lip(heard, wav2lip_input(crops)))


class _Unet:
    def __init__(self, features: NDArray[np.float32], models: RendererModels) -> None:
        self._features = features
        self._models = models

    async def draw(self, crops: NDArray[np.uint8], numbers: NDArray[np.int64], fps: float) -> NDArray[np.uint8]:
        """See :class:`Mouth`."""
        at = np.floor(numbers * (facts.NETWORK_FPS / fps) + 1e-6).astype(np.int64)
        drawn = pictures(await self._models.unet328(unet_input(crops), around(self._features, at)))
        return np.stack([framed(crop, image) for crop, image in zip(crops, drawn, strict=True)])
