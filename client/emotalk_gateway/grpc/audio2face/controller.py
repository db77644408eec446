"""``ProcessAudioStream``: one call, from its header to its end.

Rules that this module guards: **the caller is always listened to**, for there are clients that write all before they
read anything; and **the end of the sound ends the call**, for there are clients that never close their half of it.

Theory of operation. One task hears the caller, as fast as it speaks; what it said is kept, up to the length of the
longest clip. Another feeds it to a live session, which takes as much as it can compute; for a network that does not
stream, a clip that is there at once is computed as files are. A third sends each frame once
it is final, with its own sound. A fourth watches the time: whoever neither speaks nor takes frames is let go of.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from emotalk_client.faces.animation import Frame
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.live.settings import LiveSettings
from emotalk_contract.quoting import quoted
from emotalk_contract.recipe import Recipe
from emotalk_contract.timing import FPS, SAMPLE_RATE
from emotalk_gateway.grpc.audio2face import answers
from emotalk_gateway.grpc.audio2face.emotions import Emotions
from emotalk_gateway.grpc.audio2face.header import rate_of
from emotalk_gateway.grpc.audio2face.parameters import Notices, options_of
from emotalk_gateway.grpc.audio2face.sound import SIZE, Sound
from emotalk_gateway.grpc.calls import STOPPING, Call
from emotalk_gateway.service.errors import (
    GatewayStopping,
    InvalidMessage,
    RequestTooSlow,
    StreamIdle,
    StreamTooLong,
    problem_of,
)
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled, within

SERVICE = "nvidia_ace.services.a2f_controller.v1.A2FControllerService"
ROUTE = f"/{SERVICE}/ProcessAudioStream"
MAX_BUFFER_S = 10
"""Seconds of one message's sound, as Audio2Face-3D's own."""
PIECE_S = 1.0
"""Seconds of speech that a session is given at once."""
BURST_S = 0.1
"""Seconds in which the end of a clip comes that is sent at once."""
WATCH_S = 0.5
"""Seconds between two looks at the time."""
FAREWELL_S = 1.0
"""Seconds in which a caller may take the status of a call that failed."""


def is_last(request: Any) -> bool:
    """Return True of the message after which callers write nothing."""
    return bool(request.WhichOneof("stream_part") == "end_of_audio")


class Controller:
    """Makes faces for all callers of one door."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._notices = Notices()

    async def process(self, call: Call) -> None:
        """Answer one call.

        Raises:
            GatewayFull, StreamIdle, InvalidMessage, AudioError: the call is not what is accepted.
            ServerError: there is no face.
        """
        settings = self._service.settings
        with self._service.access.stream(call.caller), self._service.streams.admit():
            try:
                first = await call.first(settings.a2f_idle_s)
            except asyncio.TimeoutError as error:
                raise StreamIdle(f"no header came within {settings.a2f_idle_s:g} s") from error
            if first is None or first.WhichOneof("stream_part") != "audio_stream_header":
                said = None if first is None else first.WhichOneof("stream_part")
                raise InvalidMessage(f"the first message is {quoted(said)}; accepted: audio_stream_header")
            await Clip(self._service, call, first.audio_stream_header, self._notices).run()


class Clip:
    """One call after its header.

    Raises:
        InvalidMessage, InvalidAudio: the header cannot be.
    """

    def __init__(self, service: Service, call: Call, header: Any, notices: Notices) -> None:
        self._service = service
        self._settings = service.settings
        self._call = call
        self._notices = notices
        self._sound = Sound(rate_of(header))
        self._options = options_of(header, notices)
        known = LiveSettings(**self._options)
        self._options["timeout_s"] = min(known.timeout_s, self._settings.request_timeout_s)
        self._emotions = Emotions(known.emotions or {}, known.emotion_transition, known.emotion_strength)
        self._session: AsyncLiveSession | None = None
        self._over = False
        """True once the caller has said all."""
        self._news = asyncio.Event()
        """Set when there is more to feed, or no more to come."""
        self._begun = asyncio.Event()
        """Set once there is a session, or it is known that there will not be one."""
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._began = self._loop.time()
        self._writing_since: float | None = None
        self._hearing: asyncio.Task[None]

    async def run(self) -> None:
        """Hear and speak until the sound is over and all is said.

        Raises:
            EmoTalkError, InvalidRequest: its subclass says what was wrong, or failed.
        """
        speaking = asyncio.create_task(self._speak())
        self._hearing = asyncio.create_task(self._hear())
        others = [self._hearing, *(asyncio.create_task(one()) for one in (self._feed, self._watch, self._stop))]
        pending = {speaking, *others}
        try:
            while not speaking.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        except Exception as error:
            await cancelled(speaking, *others)
            await self._farewell(error)
            raise
        finally:
            await cancelled(speaking, *others)
            if self._session is not None:
                await self._session.close()

    # Hearing: nothing below waits for the face server, or for the caller to read.

    async def _hear(self) -> None:
        await self._call.each(self._take)
        if not self._sound.is_whole:
            raise InvalidMessage("the sound ends in the middle of a sample; accepted: samples of 2 bytes")
        self._over = True
        self._news.set()

    def _take(self, request: Any) -> None:
        """Take in one message."""
        self._heard_at = self._loop.time()
        if not request.HasField("audio_with_emotion"):
            part = request.WhichOneof("stream_part")
            if part == "end_of_audio":
                return
            raise InvalidMessage(f"a message has {quoted(part)}; accepted: audio_with_emotion, end_of_audio")
        said = request.audio_with_emotion
        block = said.audio_buffer
        rate, most_s = self._sound.rate, self._settings.a2f_max_clip_s
        if len(block) > MAX_BUFFER_S * rate * SIZE:
            raise InvalidMessage(
                f"an audio_buffer has {len(block) / SIZE / rate:.1f} s; accepted: at most {MAX_BUFFER_S} s"
            )
        self._sound.push(block)
        if self._sound.seconds > most_s:
            raise StreamTooLong(f"the clip has {self._sound.seconds:.1f} s; accepted: at most {most_s:g} s")
        self._service.access.speech(self._call.caller, len(block) / SIZE / rate)
        if said.emotions:
            self._feel(said.emotions)
        self._news.set()

    def _feel(self, emotions: Any) -> None:
        new = self._emotions.hear(emotions, self._notices)
        if self._session is not None:
            for key in new:
                self._session.set_emotions(key["emotions"], at=key["time"])

    # Between

    async def _feed(self) -> None:
        piece = round(PIECE_S * self._sound.rate)
        while not (self._sound.samples or self._over):
            await self._more()
        if self._sound.samples and not await self._is_burst():
            self._options["emotion_keys"] = tuple(self._emotions.keys)
            self._session = self._service.client.live(sample_rate=self._sound.rate, **self._options)
        self._begun.set()
        if self._session is None:
            return
        while True:
            while len(block := self._sound.unfed(piece)):
                await self._session.feed(block)
            if self._over and not self._news.is_set():
                break
            await self._more()
        await self._session.finish()

    async def _more(self) -> None:
        """Wait until there is more to feed, or no more to come."""
        await self._news.wait()
        self._news.clear()

    async def _is_burst(self) -> bool:
        """Return True where the clip is whole at once, and its network makes better faces of a whole clip.

        A network that streams makes the same ones either way.
        """
        recipe = Recipe.from_strings(await self._service.client.describe())
        if recipe.steps is not None:
            return False
        if not self._over:
            await asyncio.wait({self._hearing}, timeout=BURST_S)
        return self._over and self._sound.seconds * SAMPLE_RATE >= recipe.min_samples

    # Speaking

    async def _speak(self) -> None:
        await self._write(answers.header(self._sound.rate))
        await self._begun.wait()
        paced = self._settings.a2f_pace == "realtime"
        first_at: float | None = None
        async with aclosing(self._computed()) as computed:
            async for frames in computed:
                for frame in frames:
                    if self._over and frame.index >= self._sound.frames:
                        break  # of a sample that is there only at 16 kHz
                    if paced:
                        first_at = self._loop.time() if first_at is None else first_at
                        await asyncio.sleep(first_at + frame.timecode - self._loop.time())
                    told = self._emotions.told(frame.index)
                    await self._write(answers.animation(frame, self._sound.of_frame(frame.index), told))
                self._service.frames(ROUTE, len(frames))
        await self._write(answers.computed())
        await self._write(answers.status())

    async def _computed(self) -> AsyncGenerator[list[Frame], None]:
        """Yield the frames as they come."""
        if self._session is not None:
            while frames := await self._session.receive():
                yield frames
        elif clip := self._sound.samples:
            asked: Any = {**self._options, "emotion_keys": tuple(self._emotions.keys)}
            asked.pop("timeout_s")
            client, rate = self._service.client, self._sound.rate
            async with aclosing(client.stream_blocks(self._sound.unfed(clip), sample_rate=rate, **asked)) as blocks:
                async for block in blocks:
                    first = round(block.timecodes[0] * FPS)
                    yield [Frame(index, index / FPS, row) for index, row in enumerate(block.weights, first)]

    async def _write(self, answer: Any) -> None:
        self._writing_since = self._loop.time()
        await self._call.write(answer)
        self._writing_since = None

    async def _farewell(self, error: Exception) -> None:
        """Tell of ``error`` in the stream too: some clients show that, and lose the call's own status."""
        if self._writing_since is None and not isinstance(error, GatewayStopping):
            with suppress(Exception):
                await within(self._call.write(answers.status(problem_of(error).message, failed=True)), FAREWELL_S)

    # Around

    async def _watch(self) -> None:
        """Raise once the caller is silent, takes nothing, or has been served for longer than any clip takes."""
        settings, loop = self._settings, self._loop
        most_s = settings.a2f_max_clip_s + settings.request_timeout_s
        while True:
            await asyncio.sleep(WATCH_S)
            now = loop.time()
            if not self._over and now - self._heard_at > settings.a2f_idle_s:
                raise StreamIdle(f"the caller said nothing for {settings.a2f_idle_s:g} s")
            # Whoever still speaks may read later: there are clients that read only once they have written all.
            since = self._writing_since
            if since is not None and now - max(since, self._heard_at) > settings.send_timeout_s:
                raise RequestTooSlow(f"the caller took no frames for {settings.send_timeout_s:g} s")
            if now - self._began > most_s:
                raise RequestTooSlow(f"the call has lasted for {most_s:g} s; accepted: no longer")

    async def _stop(self) -> None:
        await self._service.stopping.wait()
        raise GatewayStopping(STOPPING)
