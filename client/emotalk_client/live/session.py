"""A live stream over the stateless server: utterance after utterance of speech in, frames out as they become final.

Rule that this module guards: **nothing of one utterance is heard, or seen, in the next.** Each is an
:class:`~emotalk_client.live.utterance.Utterance` with sound, state and frames of its own, counted from 0; one begins
with the first speech after the end of the last. The connection, the options and what is known of the served model stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from emotalk_client.audio.resampler import at_rate
from emotalk_client.errors import SessionEnded
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.closures import Lips, check_lips, touching
from emotalk_client.live.emotions import one_key
from emotalk_client.live.fade import ShownFrames, check_fade
from emotalk_client.live.settings import LiveSettings
from emotalk_client.live.utterance import Exchange, LiveStatus, Utterance
from emotalk_client.wire.retry import Deadline
from emotalk_contract.errors import InvalidOption
from emotalk_contract.quoting import quoted
from emotalk_contract.recipe import Recipe
from emotalk_contract.speech import DEFAULT_LANGUAGE, DEFAULT_SPEED
from emotalk_contract.timing import FPS
from emotalk_contract.utterance import Utterance as Sentence

Voices = Callable[..., AsyncGenerator[Sentence, None]]
"""Says a text: :meth:`~emotalk_client.AsyncEmoTalkClient.utterances`."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer to a ``cancel``: how far the face got, and its way to rest."""

    utterance: int
    """The newest of which frames were handed out, counted from 1; 0: there is none."""
    frames: int
    """Frames of it that were handed out."""
    kept: int
    """Frames of it, from the first, that stand: those that were played. What was handed out beyond them is void."""
    fade: list[Frame]
    """The frames that follow on them and end at rest; [] where there is no face to fade from."""

    @property
    def position_s(self) -> float:
        """Seconds of the utterance that were played."""
        return self.kept / FPS


class AsyncLiveSession:
    """One live stream; made by :meth:`AsyncEmoTalkClient.live`, used with ``async with`` or ended with :meth:`close`.

    One task may do it all with :meth:`push` and :meth:`flush`; or one speaks with :meth:`feed` and :meth:`finish`, and
    another listens with :meth:`receive`. After :meth:`flush`, :meth:`finish` or :meth:`cancel` the next speech begins
    an utterance of its own, whose frames count from 0 again.
    """

    def __init__(
        self,
        exchange: Exchange,
        recipe: Callable[[Deadline], Awaitable[Recipe]],
        sample_rate: int,
        settings: LiveSettings,
        audio: bool = False,
        voices: Voices | None = None,
    ) -> None:
        if not isinstance(audio, bool):
            raise InvalidOption(f"audio is {quoted(audio)}; accepted: true, false")
        if audio and settings.min_fps < FPS:
            raise InvalidOption(f"min_fps is {settings.min_fps:g}, and audio is asked for; accepted beside it: {FPS}")
        self._exchange = exchange
        self._recipe = recipe
        self._sample_rate = sample_rate
        self._settings = settings
        self._audio = audio
        self._voices = voices
        self._beginning: Mapping[str, float] | None = None
        """The emotions that the next utterance begins with; None: those of the settings."""
        self._known: tuple[Recipe, dict[str, NDArray[Any]]] | None = None
        self._utterance = self._next(1)
        self._speaking = asyncio.Lock()
        self._cancels = 0
        self._closed = False
        self._news = asyncio.Event()
        """Set when an utterance begins, or the session ends; then another takes its place."""
        self._shown = ShownFrames()
        self._shown_of = 0
        """The utterance that they are of."""
        self._handed_out = 0

    async def __aenter__(self) -> AsyncLiveSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def status(self) -> LiveStatus:
        """The state of the session, and of its newest utterance."""
        return self._utterance.status

    async def push(self, pcm: NDArray[Any]) -> list[Frame]:
        """Take in speech; return the frames that are final by now, without waiting for the server.

        Waits only while ``backlog`` seconds of speech have no frames yet.

        Args:
            pcm: [n] or [n, channels] at the session's rate, from none to any number of samples; floats -1..1, or
                integers of full scale.

        Raises:
            SessionEnded: after :meth:`close`; after :meth:`finish` while frames are left; or :meth:`cancel` came
                meanwhile.
            AudioError, InvalidRequest: the block is not audio; the session goes on without any of it.
            ServerError: its subclass says how the server failed; the utterance is over, and :meth:`cancel` makes way
                for the next. Frames that were there before are handed out first.
        """
        self._check_finished()
        try:
            await self.feed(pcm)
        except Exception as error:
            if not self._utterance.pending(error):
                raise
        return self._handed(self._utterance, self._utterance.take())

    def set_emotions(self, emotions: Mapping[str, float], at: float | None = None) -> None:
        """Change the emotions of the utterance that goes on; the next ones begin with them.

        Args:
            emotions: amount 0..1 by name; a name that is missing is 0.
            at: seconds of the utterance from which on they come, in ``emotion_transition`` seconds. None: from the end
                of what was spoken so far. Frames that the server has been asked for by then stay as they are, and the
                change comes from the next one on.

        Raises:
            InvalidRequest: its subclass says what is unknown or out of range; nothing is changed.
        """
        key = one_key(emotions, 0.0 if at is None else at)
        if self._utterance.ended is None:
            self._utterance.set_emotions(emotions, at)
        self._beginning = key["emotions"]

    async def feed(self, pcm: NDArray[Any], closures: Sequence[tuple[float, float]] = ()) -> None:
        """Take in speech as :meth:`push` does, and leave the frames to :meth:`receive`: for a task that only speaks,
        beside one that only listens. Its errors are those of :meth:`push`, but that after :meth:`finish` it waits until
        the frames of the utterance before have been received.

        Args:
            pcm: as of :meth:`push`.
            closures: times at which its lips close, where these are known: start and end in seconds from its first
                sample.
        """
        await self._feed(pcm, closures)

    async def say(
        self,
        text: str | AsyncIterable[str],
        *,
        language: str = DEFAULT_LANGUAGE,
        voice: str | None = None,
        speed: float = DEFAULT_SPEED,
        voice_seed: int = 0,
        lips: Lips = "auto",
    ) -> AsyncGenerator[Sentence, None]:
        """Yield the sentences of ``text`` as they are said, each once it has been fed as speech is by :meth:`feed`.

        Its frames come as those of any speech do, beside it or after it; more may be said, or pushed, before the end.

        Args:
            text, language, voice, speed, voice_seed, lips: as of
                :meth:`~emotalk_client.AsyncEmoTalkClient.say_stream`.

        Yields:
            each sentence with its sound, at the voice's rate; its times are seconds of this utterance of the session.

        Raises:
            SessionEnded, ServerError: as :meth:`feed`.
            InvalidRequest: its subclass says what cannot be said.
        """
        if self._voices is None:
            raise SessionEnded("this session has no voices; make one by a client's live()")
        check_lips(lips)
        said = self._voices(text, language=language, voice=voice, speed=speed, voice_seed=voice_seed)
        async with aclosing(said):
            async for sentence in said:
                sound = at_rate(sentence.audio, sentence.sample_rate, self._sample_rate)
                start_s = await self._feed(sound, touching(sentence.starting(0.0).phones, lips))
                yield sentence.starting(start_s)

    async def begun(self) -> int:
        """Wait for an utterance whose end :meth:`receive` has not told yet; return its number, counted from 1.

        For a task that listens to one utterance after the other.

        Raises:
            SessionEnded: after :meth:`close`.
        """
        while not self._is_closed() and self._utterance.ended is not None:
            await self._news.wait()
        if self._is_closed():
            raise SessionEnded("this session was closed; make a new one")
        return self._utterance.number

    async def receive(self) -> list[Frame]:
        """Wait until there is a frame; return [] at the utterance's end, and after it until the next one begins.

        Raises:
            ServerError: as :meth:`push`.
        """
        utterance = self._utterance
        return self._handed(utterance, await utterance.receive())

    async def finish(self, fade_s: float = 0.0) -> None:
        """Say that the speech is over; :meth:`receive` hands out the frames that are left, and then [].

        Args:
            fade_s: seconds in which the face goes to rest after the last frame: ``ceil(30 * fade_s)`` frames more,
                counted on.

        Raises:
            SessionEnded: after :meth:`close`, or a :meth:`finish` whose frames are left.
            InvalidOption: ``fade_s`` is out of range; the utterance goes on.
            ServerError: as :meth:`feed`.
        """
        await self._finish(fade_s)

    async def flush(self, fade_s: float = 0.0) -> list[Frame]:
        """Say that the speech is over, and wait for all frames that are left: ceil(30 * seconds) in all, and those in
        which the face goes to rest, as :meth:`finish` has them.

        Raises:
            SessionEnded: as :meth:`finish`; or another end came meanwhile.
            InvalidOption, ServerError: as :meth:`finish`; :meth:`receive` hands out the frames that were there before.
        """
        utterance = await self._finish(fade_s)
        return self._handed(utterance, await utterance.rest())

    async def cancel(self, fade_s: float = 0.0, played_frame: int | None = None) -> Cancelled:
        """Stop at once (barge-in): no request is sent any more, no frame in flight comes out. The next speech begins
        an utterance of its own.

        It does not wait for the server: a request in flight is left to finish by itself.

        Args:
            fade_s: seconds in which the face goes to rest from the frame that was played last.
            played_frame: absolute frame of that one, where frames are played later than they are handed out; -1 if none
                was. None: the last that was handed out. It is of the newest utterance of which frames were.

        Returns:
            how far that utterance got, and its fade: [] where there is none to fade from, where the face is at rest
            since an earlier cancel, or where ``fade_s`` is 0.

        Raises:
            InvalidOption: ``fade_s`` or ``played_frame`` is out of range; the session goes on.
        """
        fade = self._shown.fade(fade_s, played_frame, self._sample_rate if self._audio else None)
        self._cancels += 1
        await self._utterance.stop("cancelled")
        kept = self._shown.newest if played_frame is None else played_frame
        if fade:
            self._shown.clear()
        return Cancelled(self._shown_of, self._handed_out, kept + 1, fade)

    async def close(self) -> None:
        """Let go of everything; do nothing the second time."""
        self._closed = True
        await self._utterance.stop("closed")
        self._tell()

    async def _feed(self, pcm: NDArray[Any], closures: Sequence[tuple[float, float]]) -> float:
        """Take in speech as :meth:`feed` does.

        Returns:
            the seconds of its utterance at which it starts.
        """
        self._check_open()
        cancels = self._cancels
        async with self._speaking:  # the pieces of two blocks must not mix
            utterance = await self._opened(cancels)
            start_s = utterance.status.spoken_s
            utterance.close_lips([(start + start_s, end + start_s) for start, end in closures])
            await utterance.feed(pcm)
        return start_s

    async def _finish(self, fade_s: float) -> Utterance:
        check_fade(fade_s)
        self._check_finished()
        cancels = self._cancels
        async with self._speaking:
            utterance = await self._opened(cancels)
            await utterance.finish(fade_s)
            return utterance

    async def _opened(self, cancels: int) -> Utterance:
        """Return the utterance that speech goes to: a new one where the last is over.

        Raises:
            SessionEnded: after :meth:`close`, or where there were more than ``cancels`` by now.
        """
        while True:
            self._check_open()
            if self._cancels != cancels:
                raise SessionEnded("what was said was cancelled; its frames come no more")
            if self._utterance.ended is not None:
                self._utterance = self._next(self._utterance.number + 1)
                self._tell()
            elif not self._utterance.flushing:
                return self._utterance
            else:
                await self._utterance.changed()

    def _next(self, number: int) -> Utterance:
        settings = self._settings
        if self._beginning is not None:
            settings = replace(settings, emotions=self._beginning)
        return Utterance(number, self._exchange, self._prepare, self._sample_rate, settings, self._audio)

    async def _prepare(self, deadline: Deadline) -> tuple[Recipe, dict[str, NDArray[Any]]]:
        """Return what the served model needs, and what goes with every request."""
        recipe = await self._recipe(deadline)
        if self._known is None or self._known[0] != recipe:
            self._known = recipe, await asyncio.to_thread(self._settings.inputs, recipe)
        return self._known

    def _handed(self, utterance: Utterance, frames: list[Frame]) -> list[Frame]:
        """Remember ``frames`` as handed out, and return them."""
        if frames:
            if utterance.number != self._shown_of:
                self._shown, self._shown_of, self._handed_out = ShownFrames(), utterance.number, 0
            self._shown.push(frames)
            self._handed_out += len(frames)
        return frames

    def _is_closed(self) -> bool:
        return self._closed or self._utterance.ended == "closed"  # by us, or with the loop

    def _check_open(self) -> None:
        self._utterance.check()
        if self._is_closed():
            raise SessionEnded("this session was closed; make a new one")

    def _check_finished(self) -> None:
        """Raise SessionEnded while an utterance has been finished, and not all of its frames handed out."""
        if self._utterance.flushing and self._utterance.ended is None:
            self._utterance.check()
            raise SessionEnded("what was said was finished; receive the rest of its frames, until [] comes, or cancel")

    def _tell(self) -> None:
        """Wake all tasks that wait for news now."""
        news, self._news = self._news, asyncio.Event()
        news.set()
