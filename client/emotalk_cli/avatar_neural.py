"""``emotalk avatar render --renderer``: the mouth is drawn by a neural network of the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from emotalk_avatar.renderers.filming import film
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_avatar.renderers.sitting import Sitting, sitting_of
from emotalk_avatar.store import AvatarStore
from emotalk_avatar.video.rendering import Sound, opened_sound
from emotalk_cli.connection import address, connect, security
from emotalk_cli.inputs import opened
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_client.faces.formats import FORMATS
from emotalk_client.saying import Wanted
from emotalk_contract.renderers import RENDERERS, Renderer
from emotalk_contract.timing import SAMPLE_RATE


def checked_renderer(value: str | None) -> Renderer | None:
    """Return ``value``; refuse one that is not a renderer."""
    for known in RENDERERS:
        if value == known:
            return known
    if value is not None:
        raise typer.BadParameter(f"{value!r}; accepted: {', '.join(RENDERERS)}", param_hint="--renderer")
    return None


def sitting(store: AvatarStore, avatar_id: str) -> Sitting:
    """Return the avatar, ready to be drawn."""
    avatar = store.get(avatar_id)
    return sitting_of(avatar.metadata, lambda name: store.read(avatar, name))


@dataclass(frozen=True, slots=True)
class Heard:
    """Speech, as the network hears it and as the video has it."""

    samples: NDArray[np.float32]
    """16 kHz, mono."""
    sound: Sound

    @property
    def seconds(self) -> float:
        """Of it."""
        return len(self.samples) / SAMPLE_RATE


def spoken(text: str, wanted: Wanted, url: str | None) -> Heard:
    """Return ``text``, said by the server's voice."""
    wanted.inputs(text)  # before a server is started
    with connect(url, speech=True) as client:
        said = client.say(text, language=wanted.language, voice=wanted.voice)
    samples = said.audio.astype(np.float32) / np.float32(2**15)
    return Heard(load(said.audio, said.sample_rate), Sound(iter([samples]), said.sample_rate, 1))


def recorded(source: Path | None, held: ExitStack) -> Heard:
    """Return the speech in ``source``, which stays open as long as ``held``."""
    if source is None or source.suffix.lower() in FORMATS:
        raise typer.BadParameter("an animation has nothing that a renderer hears; accepted: speech", param_hint="IN")
    file = held.enter_context(opened(source))
    samples = load(file)
    if not isinstance(file, Path):
        file.seek(0)
    sound = held.enter_context(opened_sound(file))
    assert sound is not None  # noqa: S101  # of a file
    return Heard(samples, sound)


def film_it(
    heard: Heard,
    who: Sitting,
    renderer: Renderer,
    url: str | None,
    path: Path,
    *,
    fps: float,
    size: tuple[int, int] | None,
    mark: bool,
    progress: Callable[[int, int], None],
) -> None:
    """Write the video, with the server at ``url`` or the one that is there."""

    async def filmed(triton: str) -> None:
        async with AsyncEmoTalkClient(triton, **security(url)) as client:
            models = RendererModels(client)
            how: dict[str, Any] = {"fps": fps, "size": size, "mark": mark, "progress": progress}
            await film(heard.samples, heard.sound, who, renderer, models, path, **how)

    with address(url) as triton:
        asyncio.run(filmed(triton))
