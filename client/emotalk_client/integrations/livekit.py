"""An avatar for LiveKit's agents: what the agent says comes in, its voice and its face go into the room in step.

Rule that this module guards: **the agent is heard, whatever becomes of the face, and is told of each segment's end.**
Where the server is away or too slow, the voice goes on without a face. Each segment that was heard ends with one
``playback_finished``: after its last sample, or interrupted.

Theory of operation. One task reads the agent's sound, which comes faster than it is spoken, and feeds it to a live
session; one collects the faces of each segment; and one plays segment after segment: a face as a data packet, the sound
of its time into the published track, whose short queue keeps the time. ``clear_buffer`` drops all segments, and lets
the face go to rest from the one that was played last.

In a process of its own, the sound comes as the byte streams ``lk.audio_stream``; in the agent's, through a queue::

    avatar = EmoTalkAvatar(room, client, DataStreamAudioReceiver(room))  # its own participant of the room
    avatar = EmoTalkAvatar(ctx.room, client, session.output.audio)       # a QueueAudioOutput
    await avatar.start()
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import AudioError, EmoTalkError, InvalidRequest, MissingExtra, SessionEnded
from emotalk_client.faces.animation import Frame
from emotalk_client.live.echo import PCM16, first_sample
from emotalk_client.live.fade import check_fade, faded
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.live.settings import LiveOptions, LiveSettings
from emotalk_contract.timing import FPS

try:
    from livekit import rtc
    from livekit.agents.voice.avatar import AudioReceiver, AudioSegmentEnd
except ImportError as error:
    raise MissingExtra("this needs LiveKit's agents; install `emotalk-triton[livekit]`") from error

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack

logger = logging.getLogger(__name__)

TOPIC = "emotalk.blendshapes"
"""Topic of the faces' data packets."""
TRACK = "avatar_audio"
"""Name of the published track, as LiveKit's own avatars have it."""
TIMEOUT_S = 1.0
"""Seconds that a request may take by default, since the voice waits for it."""
QUEUE_MS = 50
"""Of sound in the track's own queue: how far a face is ahead of its sound at most."""
SUBSCRIBED_S = 2.0
"""Seconds that the first word waits for somebody who hears it."""


def packet(frame: Frame) -> bytes:
    """Return ``frame`` as little-endian float32 [54]: index, timecode, weights."""
    return np.array([frame.index, frame.timecode, *frame.weights], "<f4").tobytes()


class _Segment:
    """Speech of the agent, up to its end: sound that has not been played, and its faces."""

    def __init__(self, rate: int, channels: int) -> None:
        self.rate = rate
        self.channels = channels
        self.faces: deque[Frame] = deque()
        self.complete = False
        """True once all of its sound is there."""
        self.faceless = False
        """True once no more faces come."""
        self.played = 0
        """Samples of each channel that went to the track."""
        self.shown: Frame | None = None
        """The newest face that was sent."""
        self.change = asyncio.Event()
        self.collected = False
        """True once somebody receives its faces."""
        self._sound = bytearray()

    def hear(self, sound: bytes) -> None:
        """Take in interleaved PCM16."""
        self._sound += sound
        self.change.set()

    def take(self, samples: int) -> bytes:
        """Return up to ``samples`` of the sound that is left."""
        size = max(0, samples) * self.channels * PCM16.itemsize
        sound = bytes(self._sound[:size])
        del self._sound[:size]
        self.played += len(sound) // (self.channels * PCM16.itemsize)
        return sound

    @property
    def left(self) -> bool:
        """True while there is sound."""
        return bool(self._sound)


class EmoTalkAvatar:
    """Plays an agent's voice and face into a room.

    Args:
        room: connected, or about to be.
        client: to the face server; the caller's, who closes it.
        audio: the agent's sound, one of LiveKit's own receivers.
        fade_s: seconds in which the face goes to rest after a segment, and when it is interrupted.
        options: of :meth:`AsyncEmoTalkClient.live`; ``timeout_s`` is :data:`TIMEOUT_S` by default.

    Raises:
        InvalidRequest: an option is out of range.
    """

    def __init__(
        self,
        room: rtc.Room,
        client: AsyncEmoTalkClient,
        audio: AudioReceiver,
        *,
        fade_s: float = 0.3,
        **options: Unpack[LiveOptions],
    ) -> None:
        check_fade(fade_s)
        self._room = room
        self._client = client
        self._audio = audio
        self._fade_s = fade_s
        self._options: LiveOptions = {"timeout_s": TIMEOUT_S, **options}
        LiveSettings(**self._options)
        self._session: AsyncLiveSession | None = None
        self._rate = 0
        self._source: rtc.AudioSource | None = None
        self._publication: rtc.LocalTrackPublication | None = None
        self._hearing: _Segment | None = None
        self._segments: deque[_Segment] = deque()
        """Those that have not been played to their end."""
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._collecting: asyncio.Task[None] | None = None
        self._playing: asyncio.Task[None] | None = None
        self._clearing: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen to the agent; the track is published with its first word."""
        await self._audio.start()
        self._audio.on("clear_buffer", self._clear)
        self._reading = _task(self._read())
        self._playing = _task(self._play())

    async def aclose(self) -> None:
        """Let go of everything but the room and the client."""
        all_tasks = (self._reading, self._collecting, self._playing, self._clearing, self._resting)
        tasks = [task for task in all_tasks if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._audio.aclose()
        if self._session is not None:
            await self._session.close()
        await self._unpublish()

    # Reading

    async def _read(self) -> None:
        async for item in self._audio:
            if self._clearing is not None:
                await asyncio.wait({self._clearing})
            if isinstance(item, AudioSegmentEnd):
                await self._end()
            else:
                await self._hear(item)

    async def _hear(self, frame: rtc.AudioFrame) -> None:
        shape = (frame.sample_rate, frame.num_channels)
        segment = self._hearing
        if segment is not None and (segment.rate, segment.channels) != shape:
            await self._end()
            segment = None
        if segment is None:
            segment = self._hearing = _Segment(*shape)
            self._segments.append(segment)
            self._news.set()
        sound = bytes(frame.data)
        segment.hear(sound)
        if segment.faceless:
            return
        try:
            session = await self._session_of(segment)
            if segment is self._hearing:  # and not cut off meanwhile
                samples = np.frombuffer(sound, PCM16)
                await session.feed(samples.reshape(-1, segment.channels) if segment.channels > 1 else samples)
        except SessionEnded:
            pass  # likewise
        except (EmoTalkError, InvalidRequest) as error:
            await self._failed(segment, error)

    async def _end(self) -> None:
        segment, self._hearing = self._hearing, None
        if segment is None:
            return  # of a segment that was cut off
        try:
            if not segment.faceless and self._session is not None:
                await self._session.finish(self._fade_s)
        except SessionEnded:
            pass
        except (EmoTalkError, InvalidRequest) as error:
            await self._failed(segment, error)
        segment.complete = True
        segment.change.set()

    async def _session_of(self, segment: _Segment) -> AsyncLiveSession:
        """Return the session, whose faces are collected for ``segment``."""
        if segment.collected and self._session is not None:
            return self._session
        segment.collected = True
        if self._collecting is not None:
            await asyncio.wait({self._collecting})
        if self._session is None or self._rate != segment.rate:
            if self._session is not None:
                await self._session.close()
            self._session = self._client.live(sample_rate=segment.rate, **self._options)
            self._rate = segment.rate
        self._collecting = _task(self._collect(self._session, segment))
        return self._session

    async def _collect(self, session: AsyncLiveSession, segment: _Segment) -> None:
        try:
            while faces := await session.receive():
                segment.faces += faces
                segment.change.set()
        except (EmoTalkError, InvalidRequest) as error:
            await self._failed(segment, error)
        segment.faceless = True
        segment.change.set()

    async def _failed(self, segment: _Segment, error: Exception) -> None:
        """Let ``segment`` go on without a face."""
        if not segment.faceless:
            logger.warning("the agent speaks on without a face: %s: %s", type(error).__name__, error)
        segment.faceless = True
        segment.change.set()
        if self._session is not None and not isinstance(error, AudioError):
            await self._session.cancel()  # makes way for the next utterance

    # Playing

    async def _play(self) -> None:
        while True:
            while not self._segments:
                self._news.clear()
                await self._news.wait()
            segment = self._segments[0]
            whole = False
            try:
                await self._play_segment(segment)
                whole = True
            except Exception:  # the room's own; the agent must not wait for ever
                logger.exception("a segment could not be played to its end")
            self._segments.popleft()
            await self._finished(segment, interrupted=not whole)

    async def _play_segment(self, segment: _Segment) -> None:
        source = await self._published(segment)
        while segment.left or not (segment.complete and segment.faceless):
            segment.change.clear()
            if segment.faces:
                await self._show(segment, segment.faces.popleft(), source)
            elif segment.faceless and segment.left:
                await self._started(segment)
                await self._sound(segment, segment.take(segment.rate // FPS), source)
            else:
                await segment.change.wait()
        await source.wait_for_playout()
        self._rest(segment.faces)

    async def _show(self, segment: _Segment, face: Frame, source: rtc.AudioSource) -> None:
        await self._started(segment)
        segment.shown = face
        await self._send(face)
        end = first_sample(face.index + 1, segment.rate)
        await self._sound(segment, segment.take(end - segment.played), source)

    async def _started(self, segment: _Segment) -> None:
        if not segment.played:
            if self._resting is not None:
                self._resting.cancel()
            await self._told(self._audio.notify_playback_started())

    def _rest(self, faces: Iterable[Frame]) -> None:
        """Let the face go to rest beside whatever comes, until somebody speaks again."""

        async def rest(faces: list[Frame]) -> None:
            for face in faces:
                await self._send(face)
                await asyncio.sleep(1 / FPS)

        if self._resting is not None:
            self._resting.cancel()
        self._resting = _task(rest(list(faces)))

    async def _sound(self, segment: _Segment, sound: bytes, source: rtc.AudioSource) -> None:
        samples = len(sound) // (segment.channels * PCM16.itemsize)
        await source.capture_frame(rtc.AudioFrame(sound, segment.rate, segment.channels, samples))

    async def _send(self, face: Frame) -> None:
        try:
            await self._room.local_participant.publish_data(packet(face), topic=TOPIC)
        except Exception as error:  # noqa: BLE001  # the room's own; the voice goes on
            logger.warning("a face could not be sent: %s", error)

    async def _published(self, segment: _Segment) -> rtc.AudioSource:
        """Return the source of the published track, in the format of ``segment``."""
        source = self._source
        if source is None or (source.sample_rate, source.num_channels) != (segment.rate, segment.channels):
            await self._unpublish()
            source = rtc.AudioSource(segment.rate, segment.channels, queue_size_ms=QUEUE_MS)
            track = rtc.LocalAudioTrack.create_audio_track(TRACK, source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            self._publication = await self._room.local_participant.publish_track(track, options)
            self._source = source
            try:
                await asyncio.wait_for(self._publication.wait_for_subscription(), SUBSCRIBED_S)
            except asyncio.TimeoutError:
                logger.info("nobody hears the avatar within %g s; it speaks on", SUBSCRIBED_S)
        return source

    async def _unpublish(self) -> None:
        source, self._source = self._source, None
        publication, self._publication = self._publication, None
        if publication is not None and self._room.isconnected():
            await self._room.local_participant.unpublish_track(publication.sid)
        if source is not None:
            await source.aclose()

    async def _finished(self, segment: _Segment, *, interrupted: bool, queued_s: float = 0.0) -> None:
        position_s = max(0.0, segment.played / segment.rate - queued_s)
        await self._told(self._audio.notify_playback_finished(playback_position=position_s, interrupted=interrupted))

    async def _told(self, telling: Awaitable[None] | None) -> None:
        if telling is not None:
            await telling

    # Interruption

    def _clear(self) -> None:
        segments, self._hearing = list(self._segments), None
        self._segments.clear()
        for task in (self._playing, self._collecting):
            if task is not None:
                task.cancel()
        self._collecting = None
        queued_s = self._source.queued_duration if self._source is not None else 0.0
        if self._source is not None:
            self._source.clear_queue()
        self._clearing = _task(self._cleared(segments, queued_s))
        self._playing = _task(self._play())

    async def _cleared(self, segments: list[_Segment], queued_s: float) -> None:
        """Say that ``segments`` were cut off, and let the face go to rest."""
        if self._session is not None:
            await self._session.cancel()
        for segment in segments:
            await self._finished(segment, interrupted=True, queued_s=queued_s if segment.played else 0.0)
        shown = segments[0].shown if segments else None
        if shown is not None and self._fade_s:
            self._rest(faded(shown.index, shown, self._fade_s, None))


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run ``work``; what ends it unforeseen is logged."""
    task = asyncio.create_task(work)
    task.add_done_callback(_log)
    return task


def _log(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the avatar stopped: %s", error, exc_info=error)
