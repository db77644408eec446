"""A text that is said in a conversation: its sentences are told, its frames are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from emotalk_client.faces.animation import Frame
from emotalk_client.live.fade import ShownFrames
from emotalk_client.saying import SpeechPart
from emotalk_contract.utterance import Utterance as Sentence
from emotalk_gateway.http.messages import Cancel, End
from emotalk_gateway.service.tasks import cancelled


class SpokenText:
    """A text in the place of an utterance (:class:`~emotalk_gateway.http.conversation.Utterance`); the gateway ends it.

    Args:
        number: of it in the connection.
        said: begins to say it.
        tell: tells the caller of a sentence.
    """

    faded = 0
    silent = False
    waiting = 0
    emotions = None
    ended = End(keep=True, fade_s=0.0)

    def __init__(
        self,
        number: int,
        said: Callable[[], AsyncGenerator[SpeechPart, None]],
        tell: Callable[[int, Sentence], Awaitable[None]],
    ) -> None:
        self.number = number
        self.sent = 0
        self.newest = -1
        self.cancelled = False
        self._said = said
        self._tell = tell
        self._shown = ShownFrames()
        self._parts: asyncio.Queue[SpeechPart | Exception | None] = asyncio.Queue()
        self._saying: asyncio.Task[None] | None = None

    async def feed(self) -> None:
        """Say it, to its end; errors are raised by :meth:`frames`."""
        self._saying = asyncio.create_task(self._say())
        await asyncio.wait({self._saying})

    async def frames(self) -> list[Frame]:
        """Return the frames that came, once some did; [] when there will not be any more.

        Raises:
            InvalidRequest, ServerError: as ``say_stream`` of the client.
        """
        while (part := await self._parts.get()) is not None and not self.cancelled:
            if isinstance(part, Exception):
                raise part
            if part.sentence is not None:
                await self._tell(self.number, part.sentence)
            if part.frames:
                self._shown.push(list(part.frames))
                self.newest = part.frames[-1].index
                return list(part.frames)
        return []

    async def cancel(self, cancel: Cancel) -> list[Frame]:
        """Stop at once, and return the fade.

        Raises:
            InvalidOption: a value is out of range.
        """
        fade = self._shown.fade(cancel.fade_s, cancel.played_frame)
        self.cancelled = True
        self._stop()
        if fade:
            self._shown.clear()
        return fade

    async def close(self) -> None:
        """Let go of the text."""
        if self._saying is not None:
            await cancelled(self._saying)

    async def _say(self) -> None:
        try:
            async with aclosing(self._said()) as parts:
                async for part in parts:
                    self._parts.put_nowait(part)
        except Exception as error:  # noqa: BLE001  # raised by frames()
            self._parts.put_nowait(error)
        else:
            self._parts.put_nowait(None)

    def _stop(self) -> None:
        if self._saying is not None:
            self._saying.cancel()
        self._parts.put_nowait(None)
