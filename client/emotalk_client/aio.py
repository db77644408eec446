"""The client, for asyncio. :mod:`emotalk_client.client` is its twin for everybody else."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.loading import AudioSource
from emotalk_client.errors import ClientClosed, ModelMissing, UnexpectedResponse
from emotalk_client.faces.animation import Animation, Frame
from emotalk_client.faces.closures import Lips, check_lips
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.live.settings import LiveOptions, LiveSettings
from emotalk_client.saying import Speech, SpeechPart, Wanted, lips_of, talk, utterances
from emotalk_client.settings import AnimateOptions, Settings
from emotalk_client.windows.clip import Clip, ClipFacts
from emotalk_client.windows.detected import ClipEmotions, Emotions, emotions_in
from emotalk_client.windows.planner import PlannedWindow, Planner, balanced
from emotalk_client.windows.stillness import Stillness
from emotalk_client.windows.stitcher import Stitcher
from emotalk_client.wire.forks import check_same_process
from emotalk_client.wire.health import Health
from emotalk_client.wire.retry import PASSING, Deadline, Retry
from emotalk_client.wire.security import Tls, given_tls
from emotalk_client.wire.transport import Transport, TritonTransport, check_address, checked
from emotalk_contract import limits, tensors
from emotalk_contract.options import Parameter
from emotalk_contract.recipe import Recipe
from emotalk_contract.speech import DEFAULT_LANGUAGE, DEFAULT_SPEED
from emotalk_contract.tensors import Model
from emotalk_contract.timing import FPS, Window, frame_count, timecodes
from emotalk_contract.utterance import Utterance

if TYPE_CHECKING:
    from emotalk_client.settings import Unpack

DEFAULT_URL = "localhost:8001"
TIMEOUT_S = 600.0
"""Seconds of one call."""
CONCURRENCY = 4
"""Windows of one call in flight."""

RETRIES = 7
"""Times that a window is sent again: over about 7 s, in which a server that crashed is back."""

Block = tuple[int, NDArray[np.float32], Emotions | None]
"""Absolute frame of the first row, rows [F, 52], and the emotion that was heard in their window."""
Progress = Callable[[int, int], None]
"""Called with frames done and frames in all (as far as the header tells, where that is not known)."""


class AsyncEmoTalkClient:
    """Faces from a Triton that serves the ensemble; used with ``async with``, or closed with :meth:`close`.

    It belongs to the event loop that uses it first: another gets a :class:`~emotalk_client.errors.WrongEventLoop`, and
    a fork of its process a :class:`~emotalk_client.errors.ClientForked`.

    Args:
        url: ``host:port`` of Triton's gRPC endpoint.
        timeout_s: seconds that one call may take, retries included; of :meth:`stream`, without the caller's own between
            two frames.
        concurrency: windows of one call in flight at once.
        retries: how often a window is sent again after a failure that may pass; a live stream's again and again, until
            its ``timeout_s`` have passed. 0: never.
        tls: the connection is in TLS; True: by those whom gRPC trusts.
        token: a bearer token, for a server that asks for one; without ``tls`` whoever listens reads it.

    Raises:
        InvalidAddress: ``url`` is not ``host:port``.
        InvalidTls: ``tls`` cannot be used.
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
        self._tls, self._token = given_tls(tls), token
        self.url = url if transport is not None else check_address(url)
        self._timeout_s = timeout_s
        self._concurrency = max(1, concurrency)
        self._retry = Retry(attempts=max(0, retries) + 1)
        self._persistence = Retry(attempts=sys.maxsize) if retries > 0 else self._retry
        self._transport = transport
        self._parameters: dict[str, str] | None = None
        self._sessions: weakref.WeakSet[AsyncLiveSession] = weakref.WeakSet()
        self._closed = False
        self._made_in = os.getpid()

    async def __aenter__(self) -> AsyncEmoTalkClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End live streams and let go of the connection; does nothing the second time, nor in a fork."""
        self._closed = True
        if self._made_in != os.getpid():
            return
        for session in tuple(self._sessions):
            await session.close()
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def animate(
        self,
        audio: AudioSource,
        *,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnimateOptions],
    ) -> Animation:
        """Return the face that speaks ``audio``, whole.

        Args:
            audio: a path, an open file, or an array [samples] or [samples, channels].
            sample_rate: Hertz, of an array.
            progress: told of frames done and frames in all.
            options: see :class:`~emotalk_client.AnimateOptions`.

        Returns:
            weights [F, 52] float32 in EmoTalk order and timecodes [F], F = ceil(30 * seconds); and the emotion that was
            heard, where the served model detects emotions.

        Raises:
            AudioError: the audio cannot be used.
            InvalidRequest: its subclass says what is out of range.
            ServerError: its subclass says how the server failed.
        """
        blocks, heard = [], ClipEmotions()
        async for _, rows, emotions in self._blocks(audio, sample_rate, progress, options):
            blocks.append(rows)
            heard.push(emotions, len(rows))
        weights = np.concatenate(blocks)
        return Animation(weights, timecodes(0, len(weights)), emotions=heard.value)

    async def stream(
        self,
        audio: AudioSource,
        *,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnimateOptions],
    ) -> AsyncGenerator[Frame, None]:
        """Yield the frames of :meth:`animate`, in order, as windows finish. Leaving early cancels what is in flight."""
        blocks = self._blocks(audio, sample_rate, progress, options)
        try:
            async for first, rows, _ in blocks:
                for index, weights in enumerate(rows, first):
                    yield Frame(index, index / FPS, weights)
        finally:
            await blocks.aclose()

    async def stream_blocks(
        self,
        audio: AudioSource,
        *,
        sample_rate: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[AnimateOptions],
    ) -> AsyncGenerator[Animation, None]:
        """Yield the frames of :meth:`stream`, a window's at a time; their timecodes are the clip's, ``emotions`` the
        window's.
        """
        blocks = self._blocks(audio, sample_rate, progress, options)
        try:
            async for first, rows, emotions in blocks:
                yield Animation(rows, timecodes(first, len(rows)), emotions=emotions)
        finally:
            await blocks.aclose()

    def live(self, *, sample_rate: int, audio: bool = False, **options: Unpack[LiveOptions]) -> AsyncLiveSession:
        """Return a live stream: speech goes in as it is spoken, frames come out as soon as they are final.

        Args:
            sample_rate: Hertz of what will be pushed.
            audio: True: each frame comes with the sound of its time, :attr:`Frame.audio`.
            options: see :class:`~emotalk_client.LiveOptions`.

        Raises:
            AudioError, InvalidRequest: the rate or an option is out of range.
        """
        self._check_open()
        session = AsyncLiveSession(
            partial(self._outputs, retry=self._persistence),
            partial(self._recipe, retry=self._persistence),
            sample_rate,
            LiveSettings(**options),
            audio,
            self.utterances,
        )
        self._sessions.add(session)
        return session

    async def say(
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
        """Return ``text`` as sound and as the face that speaks it, whole.

        The server must have been started with its voices: ``emotalk-server --models core,live,speech``.

        Args:
            text: of any number of sentences.
            language: such as ``en`` or ``fa``.
            voice: a name that the server knows; None: the default one.
            speed: 0.5..2; 1 is the voice's own pace.
            voice_seed: of the voice's noise: the same gives the same bytes.
            lips: whom they follow where they close: the ``network``, which hears the sound, the ``phones``, whose times
                the voice tells (:mod:`emotalk_client.faces.closures`), or ``auto``: phones where they are told.
            progress: told of frames done and frames in all.
            options: of the face; see :class:`~emotalk_client.AnimateOptions`.

        Raises:
            InvalidRequest: its subclass says what cannot be said, or what is out of range.
            ServerError: its subclass says how the server failed; :class:`~emotalk_client.errors.ModelMissing` where it
                has no voices.
        """
        Settings(**options)  # before anything is said
        check_lips(lips)
        wanted = Wanted(language, voice, speed, voice_seed)
        said = [utterance async for utterance in self._utterances(text, wanted)]
        audio = np.concatenate([utterance.audio for utterance in said])
        face = await self.animate(audio, sample_rate=said[0].sample_rate, progress=progress, **options)
        return Speech(audio, said[0].sample_rate, lips_of(face, said, lips), tuple(said))

    async def say_stream(
        self,
        text: str | AsyncIterable[str],
        *,
        language: str = DEFAULT_LANGUAGE,
        voice: str | None = None,
        speed: float = DEFAULT_SPEED,
        voice_seed: int = 0,
        lips: Lips = "auto",
        **options: Unpack[LiveOptions],
    ) -> AsyncGenerator[SpeechPart, None]:
        """Yield ``text`` as it is said: each sentence's sound as soon as it is there, and its frames as they are final.

        One live stream carries the whole text, so that the face keeps its context over sentences, and frames count on.
        Leaving early stops sound and face at once.

        Args:
            text: whole, or as it comes, in parts of one or more sentences
                (:class:`emotalk_speech.sentences.SentenceStream` makes them of a language model's).
            language, voice, speed, voice_seed, lips: as :meth:`say`.
            options: of the face; see :class:`~emotalk_client.LiveOptions`.

        Raises:
            InvalidRequest, ServerError: as :meth:`say`.
        """
        LiveSettings(**options)
        check_lips(lips)
        parts = talk(self._utterances(text, Wanted(language, voice, speed, voice_seed)), self.live, options, lips)
        try:
            async for part in parts:
                yield part
        finally:
            await parts.aclose()

    async def utterances(
        self,
        text: str | AsyncIterable[str],
        *,
        language: str = DEFAULT_LANGUAGE,
        voice: str | None = None,
        speed: float = DEFAULT_SPEED,
        voice_seed: int = 0,
    ) -> AsyncGenerator[Utterance, None]:
        """Yield the sentences of ``text`` as they are said, without a face.

        Args:
            text, language, voice, speed, voice_seed: as :meth:`say_stream`.

        Raises:
            InvalidRequest, ServerError: as :meth:`say`.
        """
        said = self._utterances(text, Wanted(language, voice, speed, voice_seed))
        try:
            async for utterance in said:
                yield utterance
        finally:
            await said.aclose()

    async def _utterances(self, text: str | AsyncIterable[str], wanted: Wanted) -> AsyncGenerator[Utterance, None]:
        said = utterances(self._connected(), text, wanted, self._retry, self._timeout_s)
        try:
            async for utterance in said:
                yield utterance
        finally:
            await said.aclose()

    async def describe(self) -> dict[str, str]:
        """Return the parameters, by name, of the model that the server serves; asked once, and not inferred.

        Raises:
            ServerError: its subclass says why there was not an answer.
        """
        return dict(await self._model_parameters(Deadline.after(self._timeout_s)))

    async def ready(self, timeout_s: float) -> None:
        """Return where the server says that it and the ensemble are ready; asked each time, and nothing is inferred.

        Raises:
            ServerError: its subclass says why it is not, or that there was no answer within ``timeout_s`` seconds.
        """
        await self._connected().ready(timeout_s)

    async def health(self) -> Health:
        """Send the shortest clip through the ensemble: noise, new each time, so that no cache can answer for it.

        Raises:
            ServerError: its subclass says why there was not a face.
        """
        deadline = Deadline.after(self._timeout_s)
        parameters = await self._model_parameters(deadline)
        began = time.perf_counter()
        noise = np.random.default_rng().uniform(-0.01, 0.01, (1, limits.MIN_SAMPLES)).astype(np.float32)
        outputs = await self._connected().infer({tensors.AUDIO.name: noise}, {}, deadline.remaining())
        checked(outputs, frame_count(limits.MIN_SAMPLES))
        return Health(self.url, parameters.get("model", "unknown"), time.perf_counter() - began)

    async def infer(self, model: Model, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs, by name, of a model that the server may have beside the ensemble.

        Args:
            model: its contract, such as one of :mod:`emotalk_contract.avatar`.
            inputs: by name, with their batch axis, of the types that the contract says.

        Raises:
            InvalidRequest: an input is refused.
            ServerError: its subclass says how the server failed; :class:`~emotalk_client.errors.ModelMissing` where it
                does not have the model.
        """
        return await self._outputs(model, dict(inputs), {}, Deadline.after(self._timeout_s), self._retry)

    async def _blocks(
        self, audio: AudioSource, sample_rate: int | None, progress: Progress | None, options: AnimateOptions
    ) -> AsyncGenerator[Block, None]:
        settings = Settings(**options)
        deadline = Deadline.after(self._timeout_s)
        clip = Clip(audio, sample_rate)
        expected = await clip.expected_samples()
        face = settings.options()
        recipe = await self._recipe(deadline)
        inputs = await asyncio.to_thread(settings.inputs, recipe)
        layout = settings.layout(recipe)
        facts: ClipFacts | None = None
        if recipe.knows_its_clip:
            facts = await clip.facts(deadline, recipe.normalisation)
            layout = balanced(facts.samples, layout)
            inputs[tensors.CLIP_SAMPLES.name] = np.array([[facts.samples]], np.int64)
            inputs[tensors.CLIP_STATS.name] = facts.statistics[None]
            expected = facts.samples
        clip_samples = facts.samples if facts is not None else None

        planner = Planner(layout, recipe.min_samples)
        windows = clip.windows(planner, recipe.levelled)
        stillness = Stillness()
        stitcher = Stitcher()
        flying: deque[tuple[PlannedWindow, asyncio.Task[tuple[NDArray[np.float32], Emotions | None]]]] = deque()
        now = asyncio.get_running_loop().time
        try:
            while True:
                while len(flying) < self._concurrency and (item := await anext(windows, None)) is not None:
                    window, samples = item
                    sent = {**inputs, tensors.AUDIO.name: samples[None]}
                    sent[tensors.START_FRAME.name] = np.array([[window.start_frame]], np.int64)
                    place = Window(window.samples, window.start_frame, clip_samples)
                    parameters = face.restricted(window.start_frame, window.end).parameters()
                    exchange = self._exchange(sent, parameters, place, deadline, recipe.detected_emotions)
                    flying.append((window, asyncio.create_task(exchange)))
                if not flying:
                    break
                window, task = flying[0]
                rows, emotions = await task
                flying.popleft()
                for first, final in stitcher.push(window, rows):
                    stillness.push(final)
                    handed_over = now()
                    yield first, final, emotions
                    deadline = deadline.later(now() - handed_over)
                if progress is not None:
                    progress(stitcher.next_frame, max(frame_count(expected), stitcher.next_frame))
            stitcher.finish(frame_count(planner.samples))
            if stillness.still:
                clip.warn_of_stillness()
        finally:
            for _, task in flying:
                task.cancel()
            await asyncio.gather(*(task for _, task in flying), return_exceptions=True)
            await windows.aclose()

    async def _exchange(
        self,
        inputs: dict[str, NDArray[Any]],
        parameters: dict[str, Parameter],
        window: Window,
        deadline: Deadline,
        names: Sequence[str],
    ) -> tuple[NDArray[np.float32], Emotions | None]:
        """Return weights [F, 52] of all frames of ``window``, and which of the emotions ``names`` was heard there."""
        outputs = await self._outputs(tensors.ENSEMBLE, inputs, parameters, deadline, self._retry)
        return checked(outputs, window.frames, window.start_frame), emotions_in(outputs, names)

    async def _outputs(
        self,
        model: tensors.Model,
        inputs: dict[str, NDArray[Any]],
        parameters: dict[str, Parameter],
        deadline: Deadline,
        retry: Retry,
    ) -> dict[str, Any]:
        """Return the outputs of ``model``.

        Raises:
            ModelMissing: the server has the ensemble, and not ``model``.
        """
        transport = self._connected()

        async def attempt(left: float) -> dict[str, Any] | ModelMissing:
            try:
                return await transport.infer(inputs, parameters, left, model)
            except ModelMissing as error:
                await transport.ready(deadline.remaining())  # it may be starting, and about to load it
                return error

        try:
            outputs = await retry.run(attempt, deadline)
        except PASSING:
            self._parameters = None  # whoever is there next may serve another model
            raise
        if isinstance(outputs, ModelMissing):
            self._parameters = None  # likewise
            raise outputs
        return outputs

    async def _recipe(self, deadline: Deadline, retry: Retry | None = None) -> Recipe:
        parameters = await self._model_parameters(deadline, retry)
        try:
            return Recipe.from_strings(parameters)
        except (KeyError, ValueError) as error:
            raise UnexpectedResponse(
                f"{self.url} serves a model {tensors.ENSEMBLE.name} whose config has no recipe of this project "
                f"({type(error).__name__}: {error})"
            ) from error

    async def _model_parameters(self, deadline: Deadline, retry: Retry | None = None) -> dict[str, str]:
        if self._parameters is None:
            transport = self._connected()
            self._parameters = await (retry or self._retry).run(transport.model_parameters, deadline)
        return self._parameters

    def _check_open(self) -> None:
        check_same_process(self._made_in)
        if self._closed:
            raise ClientClosed("this client was closed; make a new one")

    def _connected(self) -> Transport:
        self._check_open()
        if self._transport is None:
            self._transport = TritonTransport(self.url, self._tls, self._token)
        return self._transport
