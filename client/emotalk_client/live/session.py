"""A live stream over the stateless server: sends speech as it comes, hands out frames as they become final.

Rule that this module guards: **every frame comes out once, in order, or the session ends with a typed error.** Requests
that fail for a passing reason are sent again; one that takes too long ends the session; nothing waits for ever.

Theory of operation. All state lives on one event loop, so nothing is locked but the order in which tasks speak:
:meth:`~AsyncLiveSession.feed` and the end of each exchange both call ``_advance``, which sends what is due. One request
is in flight at once: a slow server thus gets fewer and larger ones, where two would only queue, and once ``backlog``
seconds of speech wait, ``feed`` waits too. What a request carries, and what its answer means, is for a
:class:`~emotalk_client.live.ways.Way` to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from numpy.typing import NDArray

from emotalk_client.errors import DeadlineExceeded, SessionEnded
from emotalk_client.faces.animation import Frame
from emotalk_client.live.audio import SpokenAudio
from emotalk_client.live.emotions import EmotionTrack
from emotalk_client.live.fade import ShownFrames
from emotalk_client.live.settings import LiveSettings
from emotalk_client.live.ways import Blocks, Request, Way
from emotalk_client.wire.retry import Deadline
from emotalk_contract.options import Parameter
from emotalk_contract.recipe import Recipe
from emotalk_contract.tensors import Model
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_count

LATE_S = 0.5
"""Seconds of speech waiting, beyond what every frame has to wait for, from which on a session is late."""
PIECE_S = 1.0
"""Seconds that a longer push is taken in by, so that it cannot outgrow the backlog."""
OVERRUN_S = 1.0
"""Seconds after its deadline at which an exchange that ignores it is given up."""
UNWIND_S = 0.05
"""Seconds at most in which an end waits for what it cancelled. What takes longer is left to finish by itself."""


class Exchange(Protocol):
    """Sends one request; the client's own, with its connection and its retries."""

    def __call__(
        self,
        model: Model,
        inputs: dict[str, NDArray[Any]],
        parameters: dict[str, Parameter],
        deadline: Deadline,
    ) -> Awaitable[dict[str, Any]]:
        """The outputs of ``model``, by name."""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """The state of a session."""

    spoken_s: float
    """Seconds of speech pushed so far."""
    backlog_s: float
    """Seconds of speech whose frames are not there yet."""
    late: bool
    """True while that is :data:`LATE_S` more than what every frame has to wait for."""
    fps: float
    """Frames per second handed out now; less than 30 only while late, and only down to ``min_fps``."""
    frames: int
    """Absolute frame after the last that is there."""
    left_out: int
    """Frames that were left out while late."""
    windows: int
    """Requests sent so far."""


class AsyncLiveSession:
    """One live stream; made by :meth:`AsyncEmoTalkClient.live`, used with ``async with`` or ended with :meth:`flush`,
    :meth:`cancel` or :meth:`close`.

    One task may do it all with :meth:`push` and :meth:`flush`; or one speaks with :meth:`feed` and :meth:`finish`, and
    another listens with :meth:`receive`.
    """

    def __init__(
        self,
        exchange: Exchange,
        recipe: Callable[[Deadline], Awaitable[Recipe]],
        sample_rate: int,
        settings: LiveSettings,
    ) -> None:
        self._exchange = exchange
        self._recipe = recipe
        self._settings = settings
        self._audio = SpokenAudio(sample_rate)
        self._emotions = EmotionTrack(settings.options())
        self._way: Way | None = None
        self._starting: asyncio.Task[None] | None = None
        self._speaking = asyncio.Lock()
        self._ready: list[Frame] = []
        self._shown = ShownFrames()
        self._flying: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self._error: Exception | None = None
        self._ended: str | None = None
        self._flushing = False
        self._divisor = 1
        self._left_out = 0
        self._requests = 0

    async def __aenter__(self) -> AsyncLiveSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def status(self) -> LiveStatus:
        """The state of the session."""
        return LiveStatus(
            spoken_s=self._audio.most / SAMPLE_RATE,
            backlog_s=self._backlog_s(),
            late=self._late(),
            fps=FPS / self._divisor,
            frames=self._next_frame(),
            left_out=self._left_out,
            windows=self._requests,
        )

    async def push(self, pcm: NDArray[Any]) -> list[Frame]:
        """Take in speech; return the frames that are final by now, without waiting for the server.

        Waits only while ``backlog`` seconds of speech have no frames yet.

        Args:
            pcm: [n] or [n, channels] at the session's rate, from none to any number of samples; floats -1..1, or
                integers of full scale.

        Raises:
            SessionEnded: after :meth:`flush`, :meth:`cancel` or :meth:`close`.
            AudioError, InvalidRequest: the block is not audio; the session goes on without any of it.
            ServerError: its subclass says how the server failed; the session is over. Frames that were there before
                are handed out first.
        """
        try:
            await self.feed(pcm)
        except Exception as error:
            if error is not self._error or not self._ready:
                raise
        return self._take()

    async def feed(self, pcm: NDArray[Any]) -> None:
        """Take in speech as :meth:`push` does, and leave the frames to :meth:`receive`: for a task that only speaks,
        beside one that only listens. Its errors are those of :meth:`push`.
        """
        self._check_open()
        async with self._speaking:  # the pieces of two blocks must not mix
            self._check_open()
            mono = self._audio.checked(pcm)
            await self._started()
            piece = max(1, round(PIECE_S * self._audio.rate))
            for start in range(0, len(mono), piece):
                await self._room()
                self._check_open()
                self._audio.push(mono[start : start + piece])
                self._advance()
                if self._flying is not None:
                    await asyncio.sleep(0)  # a caller that never waits must let the request leave

    async def receive(self) -> list[Frame]:
        """Wait until there is a frame; return [] when there will not be one any more.

        Raises:
            ServerError: as :meth:`push`.
        """
        while not self._ready and self._error is None and self._ended is None and not self._complete():
            await self._changed()
        return self._take()

    async def finish(self) -> None:
        """Say that the speech is over; :meth:`receive` hands out the frames that are left, and then [].

        Raises:
            SessionEnded: after an earlier end.
            ServerError: as :meth:`feed`.
        """
        self._check_open()
        async with self._speaking:
            await self._started()
            self._check_open()
            self._flushing = True
            self._audio.flush()
            self._advance()
            self._tell()

    async def flush(self) -> list[Frame]:
        """Say that the speech is over, and wait for all frames that are left: ceil(30 * seconds) in all.

        Raises:
            SessionEnded: after an earlier end, or one that came meanwhile.
            ServerError: as :meth:`push`; :meth:`receive` hands out the frames that were there before.
        """
        await self.finish()
        while self._error is None and self._ended is None and not self._complete():
            await self._changed()
        if self._ended is not None or not self._complete():
            self._check_open()
        frames = self._take()
        self._end("flushed")
        return frames

    async def cancel(self, fade_s: float = 0.0, played_frame: int | None = None) -> list[Frame]:
        """Stop at once (barge-in): no window is sent any more, no frame in flight comes out.

        It does not wait for the server: a window in flight is left to finish by itself.

        Args:
            fade_s: seconds in which the face goes to rest from the frame that was played last.
            played_frame: absolute frame of that one, where frames are played later than they are handed out; -1 if none
                was. None: the last that was handed out.

        Returns:
            the frames of that fade, which follow on that frame; [] where there is none, where the face is at rest
            since an earlier cancel, or where ``fade_s`` is 0.

        Raises:
            InvalidOption: ``fade_s`` or ``played_frame`` is out of range; the session goes on.
        """
        fade = self._shown.fade(fade_s, played_frame)
        self._ready.clear()
        await self._stop("cancelled")
        if fade:
            self._shown.clear()
        return fade

    async def close(self) -> None:
        """Let go of everything; do nothing the second time."""
        await self._stop("closed")

    async def _started(self) -> None:
        """Wait until it is known what the served model needs."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        while self._way is None:
            self._check_open()
            await self._changed()

    async def _start(self) -> None:
        """Ask what the served model needs, and prepare what goes with every request."""
        try:
            recipe = await self._recipe(Deadline.after(self._settings.timeout_s))
            inputs = await asyncio.to_thread(self._settings.inputs, recipe)
            self._audio.count(recipe.normalisation)
            if recipe.levelled:
                self._audio.level()
            self._way = self._settings.way(recipe, self._audio, inputs)
            self._tell()
        except Exception as error:  # noqa: BLE001  # handed to the caller by whatever is called next
            self._fail(error)
        except asyncio.CancelledError:
            self._end("closed")  # by us, or with the loop
            raise

    def _advance(self) -> None:
        """Send what is due and allowed."""
        way = self._way
        if way is None or self._flying is not None or self._ended is not None or self._error is not None:
            return
        if self._audio.most < way.due and not self._flushing:
            return
        self._audio.work()
        request = way.request(self._flushing)
        if request is not None:
            self._requests += 1
            parameters = self._emotions.parameters(way.next_frame, frame_count(self._audio.most))
            self._flying = asyncio.create_task(self._fly(way, request, {**parameters, **request.parameters}))

    async def _fly(self, way: Way, request: Request, parameters: dict[str, Parameter]) -> None:
        allowed_s = self._settings.timeout_s
        loop = asyncio.get_running_loop()
        guard = loop.call_later(allowed_s + OVERRUN_S, self._give_up)
        try:
            deadline = Deadline.after(allowed_s)
            outputs = await self._exchange(request.model, request.inputs, parameters, deadline)
            if self._ended is None:
                self._keep(way.answered(outputs))
        except Exception as error:  # noqa: BLE001  # handed to the caller by whatever is called next
            other = way.instead(error)
            if other is None:
                self._fail(error)
            else:
                self._way = other
        except asyncio.CancelledError:
            if self._error is None:
                self._end("closed")  # by us, or with the loop
            raise
        finally:
            guard.cancel()
            self._flying = None
            self._advance()
            self._tell()

    def _give_up(self) -> None:
        """End an exchange that ignores its deadline."""
        if self._flying is not None:
            self._flying.cancel()
        self._fail(DeadlineExceeded(f"a request took longer than its {self._settings.timeout_s:g} s"))

    def _keep(self, blocks: Blocks) -> None:
        for first, rows in blocks:
            self._adapt()
            for index, weights in enumerate(rows, first):
                if index % self._divisor:
                    self._left_out += 1
                else:
                    self._ready.append(Frame(index, index / FPS, weights))

    def _adapt(self) -> None:
        """Halve the rate while late, double it while not."""
        slowest = int(FPS / self._settings.min_fps)
        self._divisor = min(2 * self._divisor, slowest) if self._late() else max(1, self._divisor // 2)

    def _take(self) -> list[Frame]:
        """Return the frames that are ready; after them, raise the error that ended the session."""
        frames, self._ready = self._ready, []
        if frames:
            self._shown.push(frames)
        elif self._error is not None and self._ended is None:
            raise self._error
        return frames

    async def _room(self) -> None:
        """Wait until the backlog has room, or the session cannot go on."""
        while self._overdue_s() >= self._settings.backlog and self._error is None and self._ended is None:
            await self._changed()

    async def _changed(self) -> None:
        """Wait for :meth:`_tell`. A wait for a request ends when that does, at its deadline at last."""
        await self._change.wait()

    def _tell(self) -> None:
        """Wake all tasks that wait now; those that come later wait for the next call."""
        change, self._change = self._change, asyncio.Event()
        change.set()

    def _next_frame(self) -> int:
        return self._way.next_frame if self._way is not None else 0

    def _complete(self) -> bool:
        return self._flushing and self._flying is None and self._next_frame() == frame_count(self._audio.most)

    def _backlog_s(self) -> float:
        return max(0.0, self._audio.most / SAMPLE_RATE - self._next_frame() / FPS)

    def _overdue_s(self) -> float:
        """Seconds of speech waiting, beyond what every frame has to wait for: positive only while a request flies."""
        return self._backlog_s() - self._way.waits_s if self._way is not None else 0.0

    def _late(self) -> bool:
        return self._overdue_s() > LATE_S

    def _check_open(self) -> None:
        if self._error is not None and self._ended is None:
            raise self._error
        if self._ended is not None or self._flushing:
            raise SessionEnded(f"this session was {self._ended or 'flushed'}; make a new one")

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._tell()

    def _end(self, how: str) -> None:
        if self._ended is None:
            self._ended = how
        self._tell()

    async def _stop(self, how: str) -> None:
        self._end(how)
        tasks = [task for task in (self._flying, self._starting) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=UNWIND_S)
