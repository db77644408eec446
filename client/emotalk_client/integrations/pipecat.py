"""A processor for Pipecat: the agent's speech goes through it, and its face comes out in step.

Rule that this module guards: **the sound goes on, whatever becomes of the face.** What comes in goes out in the same
order and to the byte. Where there is no face for it, because the server is away or too slow, it goes out without one.

Theory of operation. A transport plays what comes in the order in which it comes, so that a face is in step with the
sound that follows it. The speech is therefore held until its face is there (about 0.3 s), and goes on cut into the time
of each frame: a face, its sound, the next face. What comes between the speech, such as words, waits its turn behind it.

::

    async with AsyncEmoTalkClient("localhost:8001") as client:
        pipeline = Pipeline([..., tts, EmoTalkProcessor(client), transport.output()])
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import EmoTalkError, InvalidRequest, MissingExtra, ServerError, SessionEnded
from emotalk_client.faces.animation import Frame as Face
from emotalk_client.live.echo import PCM16, first_sample
from emotalk_client.live.fade import check_fade
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.live.settings import LiveOptions, LiveSettings
from emotalk_contract.timing import FPS

try:
    from pipecat.frames.frames import (
        CancelFrame,
        DataFrame,
        EndFrame,
        Frame,
        InterruptionFrame,
        SystemFrame,
        TTSAudioRawFrame,
        TTSStoppedFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
except ImportError as error:
    raise MissingExtra("this needs Pipecat; install `emotalk-triton[pipecat]`") from error

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack

logger = logging.getLogger(__name__)

TIMEOUT_S = 1.0
"""Seconds that a request may take by default, since the speech waits for it."""
IDLE_S = 1.0
"""Seconds without speech after which an utterance that nobody ended is over."""


@dataclass
class BlendshapesFrame(DataFrame):
    """A face, right before the sound of its time."""

    weights: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """[52] in EmoTalk order (``emotalk_contract.arkit.BLENDSHAPES``)."""
    index: int = 0
    """Frame of its utterance, counted from 0; 30 a second."""
    timecode: float = 0.0
    """Seconds of its utterance: index / 30."""
    utterance: int = 0
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.name}(utterance: {self.utterance}, index: {self.index})"


class _Speech:
    """An utterance on its way: what has come in, and not gone on. Pure, no I/O."""

    def __init__(self, number: int, rate: int) -> None:
        self.number = number
        """Counted from 1."""
        self.rate = rate
        self.ended = False
        """True once nothing more of it comes."""
        self.failed = False
        """True once there will be no more faces."""
        self.began_s: float | None = None
        """Moment at which its first face went on."""
        self.newest = -1
        """Index of the last that did."""
        self.destination: str | None = None
        """Of the transport's."""
        self.at_rest = False
        """True once the face has gone to rest."""
        self._items: deque[Frame] = deque()
        self._gone = 0
        """Samples that went on."""

    def hold(self, frame: Frame) -> None:
        """Take in ``frame``."""
        self._items.append(frame)

    def until(self, frame: int) -> list[Frame]:
        """Return what goes on before the end of face ``frame``: its sound, and what lies between it."""
        out: list[Frame] = []
        end = first_sample(frame + 1, self.rate)
        while self._items:
            item = self._items[0]
            if not isinstance(item, TTSAudioRawFrame):
                out.append(self._items.popleft())
                continue
            room = end - self._gone
            if item.num_frames <= room:
                self._gone += item.num_frames
                out.append(self._items.popleft())
                continue
            if room > 0:
                head, self._items[0] = _cut(item, room)
                self._gone += room
                out.append(head)
            break
        return out

    def next(self) -> Frame | None:
        """Return what goes on next, whatever its face; None: nothing is left."""
        return self._items.popleft() if self._items else None

    def played(self) -> int:
        """Return the index of the face that is seen now, if what went on is played in real time; -1 if none is."""
        if self.began_s is None:
            return -1
        return min(self.newest, int((time.monotonic() - self.began_s) * FPS))

    def due_s(self, index: int) -> float:
        """Return in how many seconds the time of face ``index`` comes, if what went on is played in real time."""
        return max(0.0, (self.began_s or 0.0) + index / FPS - time.monotonic())


def _cut(frame: TTSAudioRawFrame, samples: int) -> tuple[TTSAudioRawFrame, TTSAudioRawFrame]:
    """Return the first ``samples`` of ``frame`` and the rest, as frames like it."""
    at = samples * frame.num_channels * PCM16.itemsize
    return _like(frame, frame.audio[:at]), _like(frame, frame.audio[at:])


def _like(frame: TTSAudioRawFrame, audio: bytes) -> TTSAudioRawFrame:
    part = TTSAudioRawFrame(audio, frame.sample_rate, frame.num_channels)
    part.context_id = frame.context_id
    part.metadata = frame.metadata
    part.transport_source = frame.transport_source
    part.transport_destination = frame.transport_destination
    return part


class EmoTalkProcessor(FrameProcessor):
    """Adds :class:`BlendshapesFrame` to the speech (``TTSAudioRawFrame``) that goes through it.

    An utterance ends with ``TTSStoppedFrame``, where the face goes to rest, or with an interruption, where it goes to
    rest from the frame that was played last. Those faces have no sound, and come each at its time.

    Args:
        client: to the face server; the caller's, who closes it.
        fade_s: seconds in which the face goes to rest.
        options: of :meth:`AsyncEmoTalkClient.live`; ``timeout_s`` is :data:`TIMEOUT_S` by default.

    Raises:
        InvalidRequest: an option is out of range.
    """

    def __init__(self, client: AsyncEmoTalkClient, *, fade_s: float = 0.3, **options: Unpack[LiveOptions]) -> None:
        super().__init__()
        check_fade(fade_s)
        self._client = client
        self._fade_s = fade_s
        self._options: LiveOptions = {"timeout_s": TIMEOUT_S, **options}
        LiveSettings(**self._options)
        self._session: AsyncLiveSession | None = None
        self._rate = 0
        self._utterances = 0
        self._hearing: _Speech | None = None
        """The utterance that speech belongs to."""
        self._going: _Speech | None = None
        """The utterance that has not gone on: what comes waits behind it."""
        self._shown: _Speech | None = None
        """The newest of which a face went on."""
        self._pushing = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[None] | None = None
        self._resting_of: _Speech
        self._left: deque[Face] = deque()
        """Faces on the way to rest that have not been sent."""
        self._feeding = False
        self._heard_s = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Hold speech, and what follows it; let everything else pass."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            shown, fade = await self._interrupted()
            await self.push_frame(frame, direction)
            if shown is not None and fade:
                shown.began_s = time.monotonic() - fade[0].index / FPS  # the first is due now
                self._rest(fade, shown)
        elif isinstance(frame, (CancelFrame, EndFrame)):
            await self._over(at_once=isinstance(frame, CancelFrame))
            await self.push_frame(frame, direction)
        elif direction is FrameDirection.UPSTREAM or isinstance(frame, SystemFrame):
            await self.push_frame(frame, direction)
        elif isinstance(frame, TTSAudioRawFrame):
            await self._hear(frame)
        elif self._going is None:
            await self.push_frame(frame, direction)
        else:
            await self._hold(self._going, frame)
            if isinstance(frame, TTSStoppedFrame):
                await self._end()

    async def cleanup(self) -> None:
        """Let go of the session."""
        await super().cleanup()
        await self._over(at_once=True)

    async def _hear(self, frame: TTSAudioRawFrame) -> None:
        if self._hearing is not None and self._hearing.rate != frame.sample_rate:
            await self._end()
        if self._hearing is None:
            await self._listened()
            self._utterances += 1
            self._hearing = self._going = _Speech(self._utterances, frame.sample_rate)
            self._hearing.destination = frame.transport_destination
        speech, self._heard_s = self._hearing, time.monotonic()
        await self._hold(speech, frame)
        if speech.failed:
            return
        self._feeding = True
        try:
            session = await self._session_of(speech.rate)
            if self._listening is None:
                self._listening = self.create_task(self._listen(session, speech))
            samples = np.frombuffer(frame.audio, PCM16)
            await session.feed(samples.reshape(-1, frame.num_channels) if frame.num_channels > 1 else samples)
        except (EmoTalkError, InvalidRequest, ValueError) as error:
            await self._refused(speech, error)
        finally:
            self._feeding = False

    async def _hold(self, speech: _Speech, frame: Frame) -> None:
        speech.hold(frame)
        if speech.failed:
            await self._release(speech)

    async def _end(self) -> None:
        """End the utterance that is being heard; its faces go on coming."""
        speech, self._hearing = self._hearing, None
        if speech is None:
            return
        speech.ended = True
        if speech.failed or self._session is None:
            await self._release(speech)
            return
        try:
            await self._session.finish(self._fade_s)
        except (EmoTalkError, InvalidRequest) as error:
            await self._refused(speech, error)

    async def _refused(self, speech: _Speech, error: Exception) -> None:
        """Take in that the session takes no more of ``speech``."""
        if not isinstance(error, (ServerError, SessionEnded)) or self._listening is None:
            await self._failed(speech, error)
        # Else the listener is told likewise, after the faces that are there.

    async def _listen(self, session: AsyncLiveSession, speech: _Speech) -> None:
        """Let ``speech`` go on as its faces come."""
        rest: list[Face] = []
        try:
            while faces := await self._faces(session, speech):
                for face in faces:
                    if face.index < session.status.frames:
                        await self._show(face, speech)
                    else:
                        rest.append(face)
            await self._release(speech)
            self._rest(rest, speech)
        except (EmoTalkError, InvalidRequest) as error:
            await self._failed(speech, error)
        finally:
            self._listening = None

    async def _faces(self, session: AsyncLiveSession, speech: _Speech) -> list[Face]:
        """Return the faces that come next; end the utterance where nobody speaks for :data:`IDLE_S`."""
        receiving = asyncio.ensure_future(session.receive())
        try:
            while not (await asyncio.wait({receiving}, timeout=IDLE_S))[0]:
                silent_s = 0.0 if self._feeding else time.monotonic() - self._heard_s
                if speech is self._hearing and silent_s >= IDLE_S:
                    await self._end()
            return receiving.result()
        finally:
            receiving.cancel()

    def _rest(self, faces: list[Face], speech: _Speech) -> None:
        """Send ``faces``, which have no sound, each at its time."""
        self._left = deque(faces)

        async def rest() -> None:
            while self._left:
                await asyncio.sleep(speech.due_s(self._left[0].index))
                await self._show(self._left.popleft(), speech)
            speech.at_rest = True

        self._resting = self.create_task(rest())
        self._resting_of = speech

    async def _rested(self, *, faces: bool) -> None:
        """Stop sending faces on the way to rest; those that are left at once, or not at all."""
        if self._resting is not None:
            await self.cancel_task(self._resting)
            self._resting = None
            while faces and self._left:
                await self._show(self._left.popleft(), self._resting_of)

    async def _show(self, face: Face, speech: _Speech) -> None:
        async with self._pushing:
            if speech.newest < 0:
                await self._rested(faces=False)
            self._shown = speech
            speech.began_s = speech.began_s or time.monotonic()
            speech.newest = face.index
            await self.push_frame(_framed(face, speech))
            for item in speech.until(face.index):
                await self.push_frame(item)

    async def _release(self, speech: _Speech) -> None:
        """Let what is held go on, whatever its face."""
        async with self._pushing:
            while (item := speech.next()) is not None:
                await self.push_frame(item)
            if speech.ended and self._going is speech:
                self._going = None

    async def _failed(self, speech: _Speech, error: Exception) -> None:
        """Let ``speech`` go on without a face."""
        if not speech.failed:
            logger.warning("the agent speaks on without a face: %s: %s", type(error).__name__, error)
        speech.failed = True
        await self._release(speech)
        if self._session is not None:
            await self._session.cancel()  # makes way for the next utterance

    async def _interrupted(self) -> tuple[_Speech | None, list[Face]]:
        """Drop all that is held; return the utterance that was seen last, and its way to rest."""
        self._hearing = self._going = None
        await self._rested(faces=False)
        if self._listening is not None:
            await self.cancel_task(self._listening)
            self._listening = None
        shown, self._shown = self._shown, None
        if self._session is None:
            return None, []
        if shown is None or shown.at_rest:
            await self._session.cancel()
            return None, []
        return shown, (await self._session.cancel(self._fade_s, shown.played())).fade

    async def _over(self, *, at_once: bool) -> None:
        """End the speech, let go of the session; at once without what is held."""
        if at_once:
            await self._interrupted()
        else:
            await self._end()
            await self._listened()
            await self._rested(faces=True)
        session, self._session, self._rate = self._session, None, 0
        if session is not None:
            await session.close()

    async def _listened(self) -> None:
        """Wait until the utterance before has gone on."""
        if self._listening is not None:
            await asyncio.wait({self._listening})

    async def _session_of(self, rate: int) -> AsyncLiveSession:
        if self._session is None or self._rate != rate:
            if self._session is not None:
                await self._session.close()
            self._shown = None
            self._session, self._rate = self._client.live(sample_rate=rate, **self._options), rate
        return self._session


def _framed(face: Face, speech: _Speech) -> BlendshapesFrame:
    frame = BlendshapesFrame(face.weights, face.index, face.timecode, speech.number)
    frame.transport_destination = speech.destination
    return frame
