"""``emotalk avatar render --renderer``: the mouth is drawn by a neural network of the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from emotalk_avatar.renderers.filming import film
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_avatar.renderers.sitting import Sitting, sitting_of
from emotalk_avatar.store import AvatarStore
from emotalk_avatar.video.rendering import Sound
from emotalk_cli.connection import address, security
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_contract.renderers import RENDERERS, Renderer


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


def film_it(
    samples: NDArray[np.float32],
    sound: Sound,
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
            await film(samples, sound, who, renderer, models, path, fps=fps, size=size, mark=mark, progress=progress)

    with address(url) as triton:
        asyncio.run(filmed(triton))
