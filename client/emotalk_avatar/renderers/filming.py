"""An avatar whose mouth a neural network draws, into a video with its sound."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.errors import NotDrawable
from emotalk_avatar.renderers.crops import resized
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_avatar.renderers.rendering import Pixels, frames
from emotalk_avatar.renderers.sitting import Sitting
from emotalk_avatar.video.marking import Mark
from emotalk_avatar.video.rendering import Sound
from emotalk_avatar.video.sounding import Cut, in_one_shape
from emotalk_avatar.video.writing import Movie
from emotalk_client.threads import in_thread
from emotalk_contract import renderers as facts
from emotalk_contract.renderers import Renderer
from emotalk_contract.timing import SAMPLE_RATE


async def film(
    samples: NDArray[np.float32],
    sound: Sound | None,
    sitting: Sitting,
    renderer: Renderer,
    models: RendererModels,
    path: Path,
    *,
    fps: float = facts.NETWORK_FPS,
    size: tuple[int, int] | None = None,
    mark: bool = False,
    suffix: str | None = None,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``sitting``, who says ``samples``, with ``sound`` into ``path``.

    Args:
        samples: 16 kHz, mono: what the network hears.
        sound: the same as it was recorded: what the video has; None: it is silent.
        size: width and height, even; None: the avatar's own.
        mark: draw the words that say that it is synthetic.
        suffix, threads: as :class:`~emotalk_avatar.video.writing.Movie` takes them.
        progress: called with the pictures that are done, and how many there will be.

    Raises:
        NotDrawable: the avatar has no crops for this renderer.
        UnwritableVideo: the file cannot be written.
        ServerError: its subclass says how the server failed; ModelMissing: it does not have the renderer.
    """
    if renderer not in sitting.boxes:
        raise NotDrawable(f"the avatar has no crops for {renderer}; accepted: {', '.join(sitting.boxes)}")
    height, width = sitting.frame(0).shape[:2]
    shown = size or (width & ~1, height & ~1)
    count = max(1, -(-round(len(samples) * fps) // SAMPLE_RATE))
    channels = 0 if sound is None else sound.channels
    words = Mark(shown) if mark else None
    drawn = frames(samples, sitting.sitter(), renderer, models, fps=fps, count=count)
    with Movie(path, shown, fps, channels, suffix=suffix, threads=threads) as movie:
        heard = None if sound is None else Cut(in_one_shape(sound.pieces, sound.rate, channels), channels)

        def write(pixels: Pixels, done: int) -> None:
            picture = np.array(resized(pixels[: height & ~1, : width & ~1], *shown))
            if words is not None:
                words.put(picture)
            movie.picture(picture)
            if heard is not None:
                movie.sound(heard.until(done / fps))

        done = 0
        async with aclosing(drawn):
            async for pixels in drawn:
                done += 1
                await in_thread(write, pixels, done)
                if progress is not None:
                    progress(done, count)
        if heard is not None:
            await in_thread(movie.sound, heard.until(None))
