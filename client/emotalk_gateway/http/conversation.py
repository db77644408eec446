"""A caller and a face, from ``start`` to the end: utterances in, frames out.

Rule that this module guards: **the caller is always listened to.** One task reads what the caller says, and waits
neither for the face server nor for the caller's own reading: ``cancel``, and leaving, are heard at once. Another sends
what comes out, utterance after utterance. Between them lies speech that waits, in bytes, up to a bound; beyond it the
caller speaks faster than its face can be computed, and is told so.

Theory of operation. An utterance begins with its first block, and ends with ``end`` or ``cancel``. It has a session of
its own, so that its frames count from 0, and nothing of one is heard in the next. ``cancel`` ends the session, forgets
the speech that waits, and puts an answer into the queue: the speaking task finds that no frame comes any more, goes on
to the answer, and then to what is said next.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from emotalk_client.audio.containers import HEAD, container
from emotalk_client.errors import EmoTalkError, InvalidRequest, SessionEnded
from emotalk_client.faces.animation import Frame
from emotalk_client.live.fade import ShownFrames
from emotalk_client.live.session import AsyncLiveSession
from emotalk_client.windows.detected import Emotions
from emotalk_contract.timing import FPS
from emotalk_contract.utterance import Utterance as Sentence
from emotalk_gateway.http.messages import (
    PATH,
    Cancel,
    End,
    Said,
    SelectAvatar,
    SetEmotions,
    Start,
    echo,
    objects,
    rows,
    said,
)
from emotalk_gateway.http.pictured import Pictures
from emotalk_gateway.http.spoken import SpokenText
from emotalk_gateway.service.callers import ANYONE, Caller
from emotalk_gateway.service.errors import InvalidMessage, NotRawAudio, StreamBehind, StreamIdle, StreamTooLong
from emotalk_gateway.service.saying import Text, described, stream
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tasks import cancelled, within

MOST_WAITING_BYTES = 32 * 2**20
"""Of speech that waits, whatever its rate."""
TEXTS = ("text", "text_input")
"""Messages with a text: ours, and an older service's."""
MOST_UTTERANCES = 16
"""Utterances of one connection that wait for their frames."""
GONE = 1006
"""Close code of a connection that was lost (RFC 6455, 7.4.1)."""


class Line:
    """The socket, with the time that a caller may take."""

    def __init__(self, socket: WebSocket, idle_s: float) -> None:
        self._socket = socket
        self._idle_s = idle_s

    async def heard(self, allowed_s: float, late: Exception) -> Said:
        """Return the caller's next message, which must come within ``allowed_s``.

        Raises:
            InvalidMessage: it is neither an object nor a block.
            WebSocketDisconnect: the caller has left.
            ``late``: it does not come.
        """
        try:
            event = await within(self._socket.receive(), allowed_s)
        except asyncio.TimeoutError as error:
            raise late from error
        return self._said(event)

    async def next(self, owes: Callable[[], bool]) -> Said:
        """Return the caller's next message; time does not count while ``owes()``: the caller waits for the gateway.

        Raises:
            InvalidMessage, WebSocketDisconnect: as :meth:`heard`.
            StreamIdle: it does not come.
        """
        receiving = asyncio.ensure_future(self._socket.receive())
        try:
            while not (await asyncio.wait({receiving}, timeout=self._idle_s))[0]:
                if not owes():
                    raise StreamIdle(f"the caller said nothing for {self._idle_s:g} s; the session is over")
            return self._said(receiving.result())
        finally:
            receiving.cancel()

    async def say(self, message: dict[str, Any]) -> None:
        """Send ``message``; raises as :meth:`send`."""
        await self.send(orjson.dumps(message).decode())

    async def send(self, data: bytes | str) -> None:
        """Send ``data``.

        Raises:
            StreamIdle: the caller does not read.
            WebSocketDisconnect: the caller has left.
        """
        sending = self._socket.send_bytes(data) if isinstance(data, bytes) else self._socket.send_text(data)
        try:
            await within(sending, self._idle_s)
        except asyncio.TimeoutError as error:
            raise StreamIdle(f"the caller took no frames for {self._idle_s:g} s; the session is over") from error

    def _said(self, event: Any) -> Said:
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", GONE))
        return said(event)


class Utterance:
    """Speech that waits for a session, and what became of it."""

    def __init__(self, number: int, session: AsyncLiveSession, start: Start) -> None:
        self.number = number
        """Counted from 1."""
        self.sent = 0
        """Frames that were sent, those of fades included."""
        self.newest = -1
        """Index of the last that :meth:`frames` gave."""
        self.ended: End | None = None
        self.cancelled = False
        self._session = session
        self._start = start
        self._head = b""
        self._waiting = bytearray()
        self._heard = 0
        self._change = asyncio.Event()

    @property
    def faded(self) -> int:
        """Frames that took the face to rest after its end."""
        return self._session.status.faded

    @property
    def emotions(self) -> Emotions | None:
        """The emotion that was heard last; None: none, or the model detects none."""
        return self._session.status.emotions

    @property
    def silent(self) -> bool:
        """True if it ended before anything was said."""
        return self.ended is not None and not self._head

    @property
    def waiting(self) -> int:
        """Bytes of speech that the session has not taken yet."""
        return len(self._waiting)

    def hear(self, block: bytes) -> None:
        """Take in ``block``, whole samples.

        Raises:
            NotRawAudio: it is the beginning of a file.
        """
        if len(self._head) < HEAD:
            self._head += block[: HEAD - len(self._head)]
            if kind := container(self._head):
                raise NotRawAudio(
                    f"the speech begins as a {kind} file does; accepted: samples as they are ({self._start.pcm.name}, "
                    "one channel, little-endian), without a header; files go to /api/v1/process-audio-stream"
                )
        self._waiting += block
        self._heard += len(block)
        self._change.set()

    def set_emotions(self, change: SetEmotions) -> None:
        """Change the emotions; raises InvalidRequest."""
        heard_s = self._heard / self._start.pcm.itemsize / self._start.sample_rate
        self._session.set_emotions(change.emotions, heard_s if change.time is None else change.time)

    def end(self, end: End) -> None:
        """Take in the news that nothing follows."""
        self.ended = end
        self._change.set()

    async def cancel(self, cancel: Cancel) -> list[Frame]:
        """Stop at once, and return the fade.

        Raises:
            InvalidOption: a value is out of range.
        """
        self.cancelled = True  # before it ends the session, of which nobody else needs to hear
        answer = await self._session.cancel(cancel.fade_s, cancel.played_frame)
        self._waiting.clear()
        self._change.set()
        return answer.fade

    async def feed(self) -> None:
        """Hand the speech to the session, as fast as that takes it, to the utterance's end.

        Raises:
            AudioError, InvalidRequest: the speech is not audio.
            ServerError: the server failed.
        """
        piece = self._start.sample_rate * self._start.pcm.itemsize
        try:
            while not self.cancelled:
                self._change.clear()
                if self._waiting:
                    block = bytes(self._waiting[:piece])
                    del self._waiting[:piece]
                    await self._session.feed(np.frombuffer(block, self._start.pcm))
                elif self.ended is not None:
                    await self._session.finish(self.ended.fade_s)
                    return
                else:
                    await self._change.wait()
        except SessionEnded:
            if not self.cancelled:
                raise

    async def frames(self) -> list[Frame]:
        """Return the frames that came, once some did; [] when there will not be any more."""
        frames = await self._session.receive()
        if frames:
            self.newest = frames[-1].index
        return frames

    async def close(self) -> None:
        """Let go of the session; :meth:`cancel` still knows where to fade from."""
        await self._session.close()


Turn: TypeAlias = Utterance | SpokenText
"""Speech, or a text: its frames count from 0."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a ``cancel``."""

    utterance: Turn | None
    """The newest of which frames were sent; None if there is not one."""
    kept: int
    """Frames of it, counted from 0, that were played: what was sent beyond them is void."""
    fade: Sequence[Frame]


class Conversation:
    """One connection after its ``start``.

    Raises:
        InvalidAudio: the rate of ``start`` is out of range.
    """

    def __init__(
        self, service: Service, line: Line, start: Start, caller: Caller = ANYONE, pictures: Pictures | None = None
    ) -> None:
        self._service = service
        self._pictures = pictures
        self._caller = caller
        self._line = line
        self._start = start
        self._queue: deque[Turn | Answer] = deque()
        self._change = asyncio.Event()
        self._numbers = 0
        self._hearing: Utterance | None = None
        """The utterance that the caller's blocks belong to."""
        self._speaking: Turn | None = None
        """The utterance whose frames are being sent."""
        self._latest: Turn | None = None
        """The newest of which frames were sent."""
        self._choosing: asyncio.Task[None] | None = None
        """The answer to an avatar's selection."""
        self._closing = False
        """True after an ``end`` that does not keep the connection."""
        self._samples = 0
        self._next_session = self._session()  # finds out whether the rate can be
        self._most_waiting = min(round(service.settings.max_waiting_s * self._bytes_a_second()), MOST_WAITING_BYTES)

    async def run(self) -> None:
        """Listen and speak until the caller ends it.

        Raises:
            WebSocketDisconnect: the caller has left.
            EmoTalkError, InvalidRequest: the subclass says what was wrong, or failed.
        """
        tasks = [asyncio.create_task(self._speak()), asyncio.create_task(self._listen())]
        if self._pictures is not None:
            tasks.append(asyncio.create_task(self._pictures.rest()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            next(task for task in tasks if task.done()).result()
        finally:
            await cancelled(*tasks, *([] if self._choosing is None else [self._choosing]))

    def _session(self) -> AsyncLiveSession:
        start = self._start
        return self._service.client.live(sample_rate=start.sample_rate, audio=start.audio, **start.options)

    def _bytes_a_second(self) -> int:
        return self._start.sample_rate * self._start.pcm.itemsize

    # Listening: nothing below waits for the face server, or for the caller to read.

    async def _listen(self) -> None:
        while True:
            message = await self._line.next(self._owes)
            if isinstance(message, bytes):
                self._hear(message)
            elif message.get("type") == "end":
                self._end(End.of(message))
            elif message.get("type") == "cancel":
                await self._cancel(Cancel.of(message))
            elif message.get("type") == "emotions":
                self._set_emotions(SetEmotions.of(message))
            elif message.get("type") == "avatar_selection":
                await self._choose(SelectAvatar.of(message))
            elif message.get("type") in TEXTS:
                self._say(message)
            elif message.get("type") == "keyframe" and self._pictures is not None:
                self._pictures.keyframe()
            else:
                raise InvalidMessage(
                    f"a message of type {echo(message.get('type'))} came; accepted: binary blocks, avatar_selection, "
                    "cancel, emotions, end, text"
                )

    def _owes(self) -> bool:
        """Return True while the caller has ended what it said, and the gateway has not."""
        return self._hearing is None and (self._speaking is not None or bool(self._queue))

    def _hear(self, block: bytes) -> None:
        size = self._start.pcm.itemsize
        if len(block) % size:
            raise InvalidMessage(f"a block has {len(block)} bytes; accepted: whole samples of {size} bytes")
        if not block:
            return
        most_s = self._service.settings.max_stream_s
        self._samples += len(block) // size
        if self._samples > most_s * self._start.sample_rate:
            spoken_s = self._samples / self._start.sample_rate
            raise StreamTooLong(f"{spoken_s:.1f} s were spoken; accepted: at most {most_s:g} s in one session")
        self._service.access.speech(self._caller, len(block) / self._bytes_a_second())
        self._utterance().hear(block)
        waiting = sum(utterance.waiting for utterance in self._pending())
        if waiting > self._most_waiting:
            second = self._bytes_a_second()
            raise StreamBehind(
                f"{waiting / second:.1f} s of speech wait for the face server; accepted: at most "
                f"{self._most_waiting / second:g} s; speak no faster than people do, or send a file to "
                "/api/v1/process-audio-stream"
            )

    def _utterance(self) -> Utterance:
        """Return the utterance that goes on, or else a new one."""
        if self._hearing is None:
            self._count()
            session, self._next_session = self._next_session, self._session()
            self._hearing = Utterance(self._numbers, session, self._start)
            self._put(self._hearing)
        return self._hearing

    def _count(self) -> None:
        """Take in the news that one more begins.

        Raises:
            InvalidMessage, StreamBehind: none may.
        """
        if self._closing:
            raise InvalidMessage(
                'a message came after end; accepted: cancel, or {"type": "end", "keep": true} where more follows'
            )
        if len(self._pending()) >= MOST_UTTERANCES:
            raise StreamBehind(f"{MOST_UTTERANCES} utterances wait for their frames; accepted: no more at once")
        self._numbers += 1

    def _say(self, message: dict[str, Any]) -> None:
        if self._hearing is not None:
            raise InvalidMessage("a text came amid speech; accepted: after its end, or a cancel")
        given = {name: value for name, value in message.items() if name != "type"}
        asked = Text.of({**given, "options": {}}, self._service.settings.max_text_characters)
        asked = replace(asked, options=self._start.options)
        self._count()
        self._put(SpokenText(self._numbers, partial(stream, self._service, asked), self._tell))

    def _end(self, end: End) -> None:
        self._utterance().end(end)
        self._hearing = None
        self._closing = not end.keep

    def _set_emotions(self, change: SetEmotions) -> None:
        """Change the emotions of the utterance that goes on, or else of the next; later ones begin with them."""
        if self._hearing is None:
            self._next_session.set_emotions(change.emotions, change.time)
        else:
            self._hearing.set_emotions(change)
        self._start = replace(self._start, options={**self._start.options, "emotions": change.emotions})
        if self._hearing is not None:
            self._next_session = self._session()

    async def _choose(self, chosen: SelectAvatar) -> None:
        """Answer whether there is such an avatar, beside whatever is being said."""
        if self._choosing is not None:
            await self._choosing  # so that one that never reads has one at most
        self._choosing = asyncio.create_task(self._chosen(chosen))

    async def _chosen(self, chosen: SelectAvatar) -> None:
        told: dict[str, Any] = {"avatar_id": chosen.avatar_id}
        try:
            if self._pictures is not None:
                raise InvalidMessage("pictures keep the avatar of their start; accepted: another connection")
            self._caller.check("avatars")
            avatar = await self._service.avatars.get(self._caller, chosen.avatar_id)
        except (EmoTalkError, InvalidRequest) as error:
            await self._line.say({"type": "avatar_refused", **told, **self._service.problem(error).body()})
        else:
            await self._line.say({"type": "avatar_selected", **told, "avatar_name": avatar.metadata.name})

    async def _cancel(self, cancel: Cancel) -> None:
        pending = self._pending()
        seen = self._speaking if self._speaking is not None and self._speaking.newest >= 0 else self._latest
        if seen is not None:
            fade = await seen.cancel(cancel)  # first: it may refuse
        else:
            fade = ShownFrames().fade(cancel.fade_s, cancel.played_frame)
        for utterance in pending:
            if utterance is not seen:
                await utterance.cancel(Cancel(0.0, None))
        kept = seen.newest + 1 if seen is not None else 0
        if cancel.played_frame is not None:
            kept = cancel.played_frame + 1
        for item in [item for item in self._queue if not isinstance(item, Answer)]:
            self._queue.remove(item)
        self._hearing = None
        self._closing = False
        self._put(Answer(seen, kept, fade))

    def _pending(self) -> list[Turn]:
        """Return the utterances whose frames are not all sent."""
        waiting = [item for item in self._queue if not isinstance(item, Answer)]
        return [self._speaking, *waiting] if self._speaking is not None else waiting

    def _put(self, item: Turn | Answer) -> None:
        self._queue.append(item)
        self._change.set()

    # Speaking

    async def _speak(self) -> None:
        while True:
            while not self._queue:
                self._change.clear()
                await self._change.wait()
            item = self._queue.popleft()
            if isinstance(item, Answer):
                await self._answer(item)
            elif await self._utter(item):
                return

    async def _utter(self, utterance: Turn) -> bool:
        """Send the frames of ``utterance``; return True if the conversation ends with it."""
        self._speaking = utterance
        try:
            if not utterance.silent:
                await self._frames_of(utterance)
        finally:
            self._speaking = None
            await utterance.close()
        if utterance.ended is None or utterance.cancelled:
            return False  # an answer follows
        number = {"utterance": utterance.number} if utterance.ended.keep else {}
        faded = {"faded": utterance.faded} if utterance.ended.fade_s else {}
        await self._line.say({"type": "end", **number, "frames": utterance.sent, **faded})
        return not utterance.ended.keep and self._closing  # a cancel may have come meanwhile

    async def _frames_of(self, utterance: Turn) -> None:
        async def send() -> None:
            while frames := await utterance.frames():
                self._latest = utterance
                await self._send(utterance, frames, lambda: utterance.cancelled)

        tasks = [asyncio.create_task(send()), asyncio.create_task(utterance.feed())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await cancelled(*tasks)

    async def _answer(self, answer: Answer) -> None:
        number, sent = 0, 0
        if answer.utterance is not None:
            if answer.fade:
                await self._send(answer.utterance, answer.fade)
            number, sent = answer.utterance.number, answer.utterance.sent
        told = {"utterance": number, "frames": sent, "kept": answer.kept, "faded": len(answer.fade)}
        await self._line.say({"type": "cancelled", **told, "position_s": answer.kept / FPS})

    async def _tell(self, number: int, sentence: Sentence) -> None:
        """Tell of ``sentence`` and its sound."""
        self._service.access.speech(self._caller, sentence.duration_s)
        sound = b64encode(sentence.audio.astype("<i2", copy=False).tobytes()).decode()
        await self._line.say({"type": "sentence", "utterance": number, **described(sentence), "audio": sound})

    async def _send(
        self, utterance: Turn, frames: Sequence[Frame], stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Send ``frames``, or as pictures as many as are drawn before ``stopped``."""
        self._service.frames(PATH, len(frames))
        if self._pictures is not None:
            utterance.sent += await self._pictures.show(utterance.number, frames, stopped)
        else:
            audio = self._start.audio
            await self._line.send(rows(frames, audio) if self._start.binary else objects(frames, audio).decode())
            utterance.sent += len(frames)
        if self._start.emotions and frames and (emotions := utterance.emotions) is not None:
            told = {"utterance": utterance.number, "frame": frames[-1].index, "emotions": emotions}
            await self._line.say({"type": "emotions", **told})
