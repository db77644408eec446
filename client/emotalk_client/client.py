"""The client, for everybody without an event loop.

Rule that this module guards: **there is one client.** This one only runs the coroutines of
:class:`~emotalk_client.aio.AsyncEmoTalkClient` on a thread of its own, so the two cannot drift apart.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from emotalk_client.aio import CONCURRENCY, DEFAULT_URL, RETRIES, TIMEOUT_S, AsyncEmoTalkClient, Progress
from emotalk_client.animation import Animation, Frame
from emotalk_client.audio import AudioSource
from emotalk_client.errors import ClientClosed
from emotalk_client.health import Health
from emotalk_client.settings import AnimateOptions
from emotalk_client.transport import GRACE_S, Transport

if TYPE_CHECKING:
    from emotalk_client.settings import Unpack

T = TypeVar("T")


class EmoTalkClient:
    """Faces from a Triton that serves the ensemble; used with ``with``, or closed with :meth:`close`.

    Threads may share one. The arguments are those of :class:`~emotalk_client.aio.AsyncEmoTalkClient`.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = TIMEOUT_S,
        concurrency: int = CONCURRENCY,
        retries: int = RETRIES,
        transport: Transport | None = None,
    ) -> None:
        self._async = AsyncEmoTalkClient(
            url, timeout_s=timeout_s, concurrency=concurrency, retries=retries, transport=transport
        )
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name="emotalk-client", daemon=True)
        thread.start()
        # Also runs when the client is forgotten, or the interpreter ends.
        self._end = weakref.finalize(self, _end, self._loop, thread, self._async)

    @property
    def url(self) -> str:
        """``host:port`` of Triton's gRPC endpoint."""
        return self._async.url

    def __enter__(self) -> EmoTalkClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection and the thread; does nothing the second time."""
        self._end()

    def animate(
        self,
        audio: AudioSource,
        *,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnimateOptions],
    ) -> Animation:
        """See :meth:`AsyncEmoTalkClient.animate`."""
        return self._run(self._async.animate(audio, sample_rate=sample_rate, progress=progress, **options))

    def stream(
        self,
        audio: AudioSource,
        *,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnimateOptions],
    ) -> Iterator[Frame]:
        """See :meth:`AsyncEmoTalkClient.stream`."""
        frames = self._async.stream(audio, sample_rate=sample_rate, progress=progress, **options)
        try:
            while (frame := self._run(anext(frames, None))) is not None:
                yield frame
        finally:
            if not self._loop.is_closed():
                self._run(frames.aclose())

    def health(self) -> Health:
        """See :meth:`AsyncEmoTalkClient.health`."""
        return self._run(self._async.health())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._end.alive:
            work.close()
            raise ClientClosed("this client was closed; make a new one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C included: nothing may go on behind the caller's back
            future.cancel()
            raise


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, client: AsyncEmoTalkClient) -> None:
    async def finish() -> None:
        await client.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await loop.shutdown_asyncgens()

    if thread.is_alive():
        asyncio.run_coroutine_threadsafe(finish(), loop).result(timeout=GRACE_S + 5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
    loop.close()
