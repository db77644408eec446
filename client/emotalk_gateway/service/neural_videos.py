"""Videos of one gateway whose mouths are drawn by a neural renderer of the operator's own."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import BinaryIO

from emotalk_avatar.renderers.filming import film
from emotalk_avatar.renderers.networks import RendererModels
from emotalk_avatar.renderers.sitting import sitting_of
from emotalk_avatar.video.rendering import Sound, opened_sound
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.audio.loading import load
from emotalk_client.threads import in_thread
from emotalk_contract.renderers import Renderer
from emotalk_gateway.service.avatars import Avatars
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.videos import VideoFile, Videos, nameless


class NeuralVideos:
    """The same places as those of ``videos``: a video is a video, whoever draws it."""

    def __init__(self, videos: Videos, avatars: Avatars, client: AsyncEmoTalkClient) -> None:
        self._videos = videos
        self._avatars = avatars
        self._client = client

    async def written(self, caller: Caller, asked: VideoFile, renderer: Renderer, sound: BinaryIO) -> BinaryIO:
        """Return the video of an avatar that ``caller`` may see, saying ``sound``, once it is its turn: a file without
        a name, for the caller to close.

        Raises:
            UnwritableFile: there is no room for it.
            UnknownAvatar, DamagedAvatar, NotDrawable: there is no such avatar, or none for this renderer.
            EmoTalkError: as :func:`~emotalk_avatar.renderers.filming.film`.
        """
        avatar = await self._avatars.get(caller, asked.look.avatar_id or "")
        store = self._avatars.store
        with contextlib.ExitStack() as held:
            out = held.enter_context(nameless())
            async with self._videos.files.run():
                who = await in_thread(sitting_of, avatar.metadata, lambda name: store.read(avatar, name))
                sound.seek(0)
                samples = await in_thread(load, sound)
                sound.seek(0)
                with contextlib.ExitStack() as hearing:
                    heard: Sound | None = await in_thread(hearing.enter_context, opened_sound(sound))
                    await film(
                        samples,
                        heard,
                        who,
                        renderer,
                        RendererModels(self._client),
                        Path(f"/proc/self/fd/{out.fileno()}"),
                        fps=asked.fps,
                        size=asked.look.order.size,
                        mark=asked.look.order.mark,
                        suffix=asked.suffix,
                        threads=1,
                    )
            held.pop_all()
            return out
