"""A live stream for callers without an event loop: :class:`AsyncLiveSession`, run on the client's own thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from emotalk_client.errors import ClientClosed
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.closures import Lips
from emotalk_client.live.session import AsyncLiveSession, Cancelled
from emotalk_client.live.utterance import LiveStatus
from emotalk_client.threads import on_a_thread
from emotalk_contract.speech import DEFAULT_LANGUAGE, DEFAULT_SPEED
from emotalk_contract.utterance import Utterance

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class LiveSession:
    """One live stream; made by :meth:`EmoTalkClient.live`. One thread may speak, and another listen."""

    def __init__(self, run: Run, session: AsyncLiveSession) -> None:
        self._run = run
        self._async = session

    def __enter__(self) -> LiveSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def status(self) -> LiveStatus:
        """The state of the session."""
        return self._async.status

    def push(self, pcm: NDArray[Any]) -> list[Frame]:
        """See :meth:`AsyncLiveSession.push`."""
        frames: list[Frame] = self._run(self._async.push(pcm))
        return frames

    def feed(self, pcm: NDArray[Any], closures: Sequence[tuple[float, float]] = ()) -> None:
        """See :meth:`AsyncLiveSession.feed`."""
        self._run(self._async.feed(pcm, closures))

    def set_emotions(self, emotions: Mapping[str, float], at: float | None = None) -> None:
        """See :meth:`AsyncLiveSession.set_emotions`."""

        async def change() -> None:
            self._async.set_emotions(emotions, at)

        self._run(change())

    def say(
        self,
        text: str | Iterable[str],
        *,
        language: str = DEFAULT_LANGUAGE,
        voice: str | None = None,
        speed: float = DEFAULT_SPEED,
        voice_seed: int = 0,
        lips: Lips = "auto",
    ) -> Iterator[Utterance]:
        """See :meth:`AsyncLiveSession.say`; ``text`` that comes in parts is read on a thread of its own."""
        given = text if isinstance(text, str) else on_a_thread(text)
        said = self._async.say(given, language=language, voice=voice, speed=speed, voice_seed=voice_seed, lips=lips)
        try:
            while (sentence := self._run(anext(said, None))) is not None:
                yield sentence
        finally:
            with contextlib.suppress(ClientClosed):
                self._run(said.aclose())

    def begun(self) -> int:
        """See :meth:`AsyncLiveSession.begun`."""
        number: int = self._run(self._async.begun())
        return number

    def receive(self) -> list[Frame]:
        """See :meth:`AsyncLiveSession.receive`."""
        frames: list[Frame] = self._run(self._async.receive())
        return frames

    def finish(self, fade_s: float = 0.0) -> None:
        """See :meth:`AsyncLiveSession.finish`."""
        self._run(self._async.finish(fade_s))

    def flush(self, fade_s: float = 0.0) -> list[Frame]:
        """See :meth:`AsyncLiveSession.flush`."""
        frames: list[Frame] = self._run(self._async.flush(fade_s))
        return frames

    def cancel(self, fade_s: float = 0.0, played_frame: int | None = None) -> Cancelled:
        """See :meth:`AsyncLiveSession.cancel`."""
        answer: Cancelled = self._run(self._async.cancel(fade_s, played_frame))
        return answer

    def close(self) -> None:
        """See :meth:`AsyncLiveSession.close`."""
        with contextlib.suppress(ClientClosed):  # the session ended with its client
            self._run(self._async.close())
