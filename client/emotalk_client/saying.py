"""Text in: the model ``speech`` says it sentence by sentence, and a live stream moves the face to it.

Theory of operation. Two tasks share one queue: one takes sentences from the server, tells of their sound and feeds it
to the live stream; the other waits for its frames. So the next sentence is synthesised while this one is animated, and
what is ready first comes out first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from emotalk_client.errors import ModelMissing, UnexpectedResponse, UnknownFormat
from emotalk_client.faces.animation import Animation, Frame
from emotalk_client.faces.closures import Lips, closed, touching
from emotalk_client.faces.formats import writing
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.live.settings import LiveOptions
from emotalk_client.settings import is_number
from emotalk_client.wire.retry import Deadline, Retry
from emotalk_client.wire.transport import Transport
from emotalk_contract import speech
from emotalk_contract.errors import EmptyText, InvalidOption, SpeedOutOfRange, UnknownLanguage, UnknownVoice
from emotalk_contract.limits import MAX_SEED
from emotalk_contract.quoting import quoted
from emotalk_contract.utterance import Timed, Utterance


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A text as it is said, and its face."""

    audio: NDArray[np.int16]
    """[n], mono, full scale."""
    sample_rate: int
    """Hertz."""
    animation: Animation
    sentences: tuple[Utterance, ...]
    """In order; their sound is cut out of :attr:`audio`."""

    @property
    def words(self) -> tuple[Timed, ...]:
        """All words, seconds on the face's clock; () from a voice that does not tell."""
        return tuple(word for sentence in self.sentences for word in sentence.words)

    @property
    def phones(self) -> tuple[Timed, ...]:
        """All phones, likewise."""
        return tuple(phone for sentence in self.sentences for phone in sentence.phones)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Parts of the text that were left out, in words."""
        return tuple(warning for sentence in self.sentences for warning in sentence.warnings)

    def times(self) -> dict[str, list[dict[str, str | float]]]:
        """Return words and phones as JSON has them: ``{"words": [{"word", "start", "end"}], "phones": […]}``, seconds
        on the face's clock.
        """
        rows = {"word": self.words, "phone": self.phones}
        return {
            f"{kind}s": [
                {kind: timed.text, "start": round(timed.start, 4), "end": round(timed.end, 4)} for timed in row
            ]
            for kind, row in rows.items()
        }

    def save_sound(self, path: str | os.PathLike[str]) -> None:
        """Write the sound: ``.wav``, ``.flac`` or ``.ogg``.

        Raises:
            UnknownFormat: the suffix is another.
            UnwritableFile: there is no such folder, no permission or no space.
        """
        check_sound_path(path)
        with writing(Path(path)):
            try:
                soundfile.write(os.fspath(path), self.audio, self.sample_rate)
            except soundfile.LibsndfileError as error:
                raise OSError(str(error)) from error


SOUNDS = (".wav", ".flac", ".ogg")
"""Suffixes of files of sound that are written."""


def check_sound_path(path: str | os.PathLike[str]) -> None:
    """Raise :class:`UnknownFormat` where ``path`` has none of the suffixes :data:`SOUNDS`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SOUNDS:
        raise UnknownFormat(f"{os.fspath(path)} ends in {quoted(suffix)}; accepted: {', '.join(SOUNDS)}")


@dataclass(frozen=True, slots=True, eq=False)
class SpeechPart:
    """The news of a text that is being said: a sentence's sound, or frames."""

    sentence: Utterance | None = None
    """With its sound; its words, phones and ``start_s`` are seconds of the whole."""
    frames: tuple[Frame, ...] = ()
    """Final; their timecodes are on the same clock."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A language, a voice and its pace, as one call asks for them."""

    language: str = speech.DEFAULT_LANGUAGE
    voice: str | None = None
    speed: float = speech.DEFAULT_SPEED
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.language, str):
            raise UnknownLanguage(f"language is {quoted(self.language)}; accepted: a tag such as 'en' or 'fa'")
        if not (self.voice is None or isinstance(self.voice, str)):
            raise UnknownVoice(f"voice is {quoted(self.voice)}; accepted: a name, or None")
        if not (is_number(self.speed) and speech.MIN_SPEED <= self.speed <= speech.MAX_SPEED):  # NaN fails too
            raise SpeedOutOfRange(
                f"speed is {quoted(self.speed)}; accepted: {speech.MIN_SPEED:g}..{speech.MAX_SPEED:g}"
            )
        seed = self.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise InvalidOption(f"voice_seed is {quoted(seed)}; accepted: an integer in 0..{MAX_SEED}")

    def inputs(self, text: str) -> dict[str, NDArray[Any]]:
        """Return the tensors that ask for ``text``.

        Raises:
            EmptyText: there is nothing to say.
        """
        if not isinstance(text, str) or not text.strip():
            raise EmptyText(f"the text is {quoted(text)}; accepted: something to say")
        sent = {
            speech.TEXT.name: _bytes(text),
            speech.LANGUAGE.name: _bytes(self.language),
            speech.SPEED.name: np.array([self.speed], np.float32),
            speech.SEED.name: np.array([self.seed], np.int64),
        }
        return sent if self.voice is None else {**sent, speech.VOICE.name: _bytes(self.voice)}


def _bytes(text: str) -> NDArray[Any]:
    return np.array([text.encode("utf-8", "replace")], np.object_)


async def utterances(
    transport: Transport, text: str | AsyncIterable[str], wanted: Wanted, retry: Retry, timeout_s: float
) -> AsyncGenerator[Utterance, None]:
    """Yield the sentences of ``text`` as the server says them; their times are of the whole text.

    Args:
        timeout_s: seconds that each part of the text may take.

    Raises:
        InvalidRequest, ServerError: as :meth:`~emotalk_client.aio.AsyncEmoTalkClient.say`.
    """
    start_s = 0.0
    rate: int | None = None
    async for part in _parts(text):
        answers, answer = await _began(transport, wanted.inputs(part), retry, Deadline.after(timeout_s))
        try:
            while answer is not None:
                try:
                    utterance = Utterance.from_tensors(answer)
                except ValueError as error:
                    raise UnexpectedResponse(
                        f"the model {speech.SPEECH.name} sent what it cannot mean: {error}"
                    ) from error
                if rate not in (None, utterance.sample_rate):
                    raise UnexpectedResponse(f"a voice went from {rate} to {utterance.sample_rate} Hz in one text")
                rate = utterance.sample_rate
                yield utterance.starting(start_s)
                start_s += utterance.duration_s
                answer = await anext(answers, None)
        finally:
            await answers.aclose()


async def _parts(text: str | AsyncIterable[str]) -> AsyncIterator[str]:
    if not isinstance(text, AsyncIterable):
        yield text
        return
    async for part in text:
        yield part


async def _began(
    transport: Transport, inputs: dict[str, NDArray[Any]], retry: Retry, deadline: Deadline
) -> tuple[AsyncGenerator[dict[str, Any], None], dict[str, Any] | None]:
    """Return the answers to ``inputs``, and the first of them; nothing of a text is said twice."""

    async def attempt(
        left_s: float,
    ) -> tuple[AsyncGenerator[dict[str, Any], None], dict[str, Any] | None] | ModelMissing:
        answers = transport.answers(inputs, left_s, speech.SPEECH)
        try:
            return answers, await anext(answers, None)
        except ModelMissing as error:
            await transport.ready(deadline.remaining())  # it may be starting, and about to load it
            return error

    began = await retry.run(attempt, deadline)
    if isinstance(began, ModelMissing):
        raise ModelMissing(f"{began}; a server with voices is `emotalk-server --models core,live,speech`")
    return began


def lips_of(face: Animation, said: Sequence[Utterance], lips: Lips) -> Animation:
    """Return ``face`` with the lips closed where the phones of ``said`` say so, if ``lips`` follow them.

    Raises:
        InvalidOption: they are to, and the voice tells none.
    """
    times = touching([phone for utterance in said for phone in utterance.phones], lips)
    return replace(face, weights=closed(face.weights, face.timecodes, times)) if times else face


async def talk(
    said: AsyncGenerator[Utterance, None],
    live: Callable[..., AsyncLiveSession],
    options: LiveOptions,
    lips: Lips,
) -> AsyncGenerator[SpeechPart, None]:
    """Yield what is ``said``, and the frames that go with it; see this module's theory of operation.

    Args:
        live: makes a live stream, by its rate and ``options``.
        lips: whom they follow where they close.
    """
    talking = _Talking(said, live, options, lips)
    try:
        while (part := await talking.parts.get()) is not None:
            if isinstance(part, BaseException):
                raise part
            yield part
    finally:
        await talking.stop()


@dataclass(slots=True, eq=False)
class _Talking:
    """The two tasks of one text, and what they have for the caller: None at the end."""

    said: AsyncGenerator[Utterance, None]
    live: Callable[..., AsyncLiveSession]
    options: LiveOptions
    lips: Lips
    parts: asyncio.Queue[SpeechPart | BaseException | None] = field(default_factory=asyncio.Queue)
    session: AsyncLiveSession | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tasks.append(asyncio.create_task(self._guarded(self._speak())))

    async def stop(self) -> None:
        """End both at once."""
        if self.session is not None:
            await self.session.cancel()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.said.aclose()

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # handed to the caller
            self.parts.put_nowait(error)

    async def _speak(self) -> None:
        async for sentence in self.said:
            closures = touching(sentence.starting(0.0).phones, self.lips)
            self.parts.put_nowait(SpeechPart(sentence))
            if self.session is None:
                self.session = self.live(sample_rate=sentence.sample_rate, **self.options)
                self.tasks.append(asyncio.create_task(self._guarded(self._listen(self.session))))
            await self.session.feed(sentence.audio, closures)
        if self.session is None:
            self.parts.put_nowait(None)
        else:
            await self.session.finish()

    async def _listen(self, session: AsyncLiveSession) -> None:
        while frames := await session.receive():
            self.parts.put_nowait(SpeechPart(frames=tuple(frames)))
        self.parts.put_nowait(None)
