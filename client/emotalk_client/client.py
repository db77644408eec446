"""The client, for everybody without an event loop.

Rule that this module guards: **there is one client.** This one only runs the coroutines of
:class:`~emotalk_client.aio.AsyncEmoTalkClient` on a thread of its own, so the two cannot drift apart.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from emotalk_client.aio import CONCURRENCY, DEFAULT_URL, RETRIES, TIMEOUT_S, AsyncEmoTalkClient, Progress
from emotalk_client.audio.loading import AudioSource
from emotalk_client.errors import ClientClosed, ClientForked
from emotalk_client.faces.animation import Animation, Frame
from emotalk_client.faces.closures import Lips
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.live.settings import LiveOptions
from emotalk_client.live.sync import LiveSession
from emotalk_client.saying import Speech, SpeechPart
from emotalk_client.settings import AnimateOptions
from emotalk_client.threads import on_a_thread
from emotalk_client.wire.forks import check_same_process
from emotalk_client.wire.health import Health
from emotalk_client.wire.security import Tls
from emotalk_client.wire.transport import GRACE_S, Transport
from emotalk_contract.speech import DEFAULT_LANGUAGE, DEFAULT_SPEED
from emotalk_contract.tensors import Model
from emotalk_contract.utterance import Utterance

if TYPE_CHECKING:
    from emotalk_client.settings import Unpack

T = TypeVar("T")


class EmoTalkClient:
    """Faces from a Triton that serves the ensemble; used with ``with``, or closed with :meth:`close`.

    Threads may share one; processes may not. After a fork, this client and any that the child makes raise
    :class:`~emotalk_client.errors.ClientForked` at once: start processes with multiprocessing's "spawn" or
    "forkserver", or fork before the first client is used and make the child's client in the child.

    The arguments are those of :class:`~emotalk_client.aio.AsyncEmoTalkClient`.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = TIMEOUT_S,
        concurrency: int = CONCURRENCY,
        retries: int = RETRIES,
        tls: Tls | bool = False,
        token: str | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._async = AsyncEmoTalkClient(
            url,
            timeout_s=timeout_s,
            concurrency=concurrency,
            retries=retries,
            tls=tls,
            token=token,
            transport=transport,
        )
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_serve, args=(self._loop,), name="emotalk-client", daemon=True)
        thread.start()
        self._streams: set[AsyncGenerator[Any, None]] = set()
        # Also runs when the client is forgotten, or the interpreter ends.
        self._handing_over = threading.Lock()
        self._made_in = os.getpid()
        self._end = weakref.finalize(
            self, _end, self._loop, thread, self._handing_over, self._async, self._streams, self._made_in
        )

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
        yield from self._each(self._async.stream(audio, sample_rate=sample_rate, progress=progress, **options))

    def stream_blocks(
        self,
        audio: AudioSource,
        *,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnimateOptions],
    ) -> Iterator[Animation]:
        """See :meth:`AsyncEmoTalkClient.stream_blocks`."""
        yield from self._each(self._async.stream_blocks(audio, sample_rate=sample_rate, progress=progress, **options))

    def live(self, *, sample_rate: int, audio: bool = False, **options: Unpack[LiveOptions]) -> LiveSession:
        """See :meth:`AsyncEmoTalkClient.live`."""
        return LiveSession(self._run, self._run(self._live(sample_rate, audio, options)))

    async def _live(self, sample_rate: int, audio: bool, options: LiveOptions) -> AsyncLiveSession:
        # On the loop, which its parts belong to.
        return self._async.live(sample_rate=sample_rate, audio=audio, **options)

    def say(
        self,
        text: str,
        *,
        language: str = DEFAULT_LANGUAGE,
        voice: str | None = None,
        speed: float = DEFAULT_SPEED,
        voice_seed: int = 0,
        lips: Lips = "auto",
        progress: Progress | None = None,
        **options: Unpack[AnimateOptions],
    ) -> Speech:
        """See :meth:`AsyncEmoTalkClient.say`."""
        return self._run(
            self._async.say(
                text,
                language=language,
                voice=voice,
                speed=speed,
                voice_seed=voice_seed,
                lips=lips,
                progress=progress,
                **options,
            )
        )

    def say_stream(
        self,
        text: str | Iterable[str],
        *,
        language: str = DEFAULT_LANGUAGE,
        voice: str | None = None,
        speed: float = DEFAULT_SPEED,
        voice_seed: int = 0,
        lips: Lips = "auto",
        **options: Unpack[LiveOptions],
    ) -> Iterator[SpeechPart]:
        """See :meth:`AsyncEmoTalkClient.say_stream`; ``text`` that comes in parts is read on a thread of its own."""
        said = text if isinstance(text, str) else on_a_thread(text)
        yield from self._each(
            self._async.say_stream(
                said, language=language, voice=voice, speed=speed, voice_seed=voice_seed, lips=lips, **options
            )
        )

    def utterances(
        self,
        text: str | Iterable[str],
        *,
        language: str = DEFAULT_LANGUAGE,
        voice: str | None = None,
        speed: float = DEFAULT_SPEED,
        voice_seed: int = 0,
    ) -> Iterator[Utterance]:
        """See :meth:`AsyncEmoTalkClient.utterances`; ``text`` that comes in parts is read on a thread of its own."""
        said = text if isinstance(text, str) else on_a_thread(text)
        yield from self._each(
            self._async.utterances(said, language=language, voice=voice, speed=speed, voice_seed=voice_seed)
        )

    def describe(self) -> dict[str, str]:
        """See :meth:`AsyncEmoTalkClient.describe`."""
        return self._run(self._async.describe())

    def ready(self, timeout_s: float) -> None:
        """See :meth:`AsyncEmoTalkClient.ready`."""
        self._run(self._async.ready(timeout_s))

    def health(self) -> Health:
        """See :meth:`AsyncEmoTalkClient.health`."""
        return self._run(self._async.health())

    def infer(self, model: Model, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See :meth:`AsyncEmoTalkClient.infer`."""
        return self._run(self._async.infer(model, inputs))

    def _each(self, stream: AsyncGenerator[T, None]) -> Iterator[T]:
        """Yield what ``stream`` does; leaving early closes it."""
        self._streams.add(stream)
        try:
            while (item := self._run(_next(stream))) is not None:
                yield item
        finally:
            if self._end.alive and self._made_in == os.getpid():
                self._run(_close(stream))
            self._streams.discard(stream)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            check_same_process(self._made_in)  # first of all: in a fork nobody lets go of the lock, nor runs the loop
        except ClientForked:
            work.close()
            raise
        with self._handing_over:  # nothing may be handed to the loop behind what ends it
            if not self._end.alive:
                work.close()
                raise ClientClosed("this client was closed; make a new one")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClientClosed("this client was closed while it worked") from None
        except BaseException:  # Ctrl-C included: nothing may go on behind the caller's back
            future.cancel()
            raise


async def _next(stream: AsyncGenerator[T, None]) -> T | None:
    return await anext(stream, None)


async def _close(stream: AsyncGenerator[T, None]) -> None:
    await stream.aclose()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, and leave nothing open: the work of the thread."""
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end(
    loop: asyncio.AbstractEventLoop,
    thread: threading.Thread,
    handing_over: threading.Lock,
    client: AsyncEmoTalkClient,
    streams: set[AsyncGenerator[Any, None]],
    made_in: int,
) -> None:
    async def finish() -> None:
        try:
            await client.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            # The loop would close a stream and the generator inside it at once, and stumble.
            for stream in tuple(streams):
                await stream.aclose()
            await loop.shutdown_asyncgens()
        finally:
            loop.stop()

    if made_in != os.getpid() or not thread.is_alive():  # in a fork there is nothing to end
        return
    with handing_over:
        asyncio.run_coroutine_threadsafe(finish(), loop)
    # A forgotten client may be collected on the very thread that would have to be waited for.
    if thread is not threading.current_thread():
        thread.join(timeout=GRACE_S + 5)
