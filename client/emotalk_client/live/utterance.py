"""One utterance of a live stream, from its first sample to its last frame.

Rule that this module guards: **every frame comes out once, in order, or the utterance ends with a typed error.**
Requests that fail for a passing reason are sent again; one that takes too long ends the utterance; nothing waits for
ever.

Theory of operation. All state lives on one event loop, so nothing is locked: :meth:`~Utterance.feed` and the end of
each exchange both call ``_advance``, which sends what is due. One request is in flight at once: a slow server thus gets
fewer and larger ones, where two would only queue, and once ``backlog`` seconds of speech wait, ``feed`` waits too. What
a request carries, and what its answer means, is for a :class:`~emotalk_client.live.ways.Way` to say.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.mixing import mixed
from emotalk_client.errors import DeadlineExceeded, SessionEnded
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.closures import closed
from emotalk_client.live.audio import SpokenAudio
from emotalk_client.live.echo import SpokenEcho
from emotalk_client.live.emotions import EmotionTrack
from emotalk_client.live.fade import faded
from emotalk_client.live.settings import LiveSettings
from emotalk_client.live.ways import Blocks, Request, Way
from emotalk_client.windows.detected import Emotions
from emotalk_client.wire.retry import Deadline
from emotalk_contract.options import Parameter
from emotalk_contract.recipe import Recipe
from emotalk_contract.tensors import Model
from emotalk_contract.timing import FPS, SAMPLE_RATE, frame_count

LATE_S = 0.5
"""Seconds of speech waiting, beyond what every frame has to wait for, from which on an utterance is late."""
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


Preparation = Callable[[Deadline], Awaitable[tuple[Recipe, dict[str, NDArray[Any]]]]]
"""Asks what the served model needs, and what goes with every request."""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """The state of a session, and of its newest utterance."""

    utterance: int
    """That utterance, counted from 1."""
    spoken_s: float
    """Seconds of it pushed so far."""
    backlog_s: float
    """Seconds of speech whose frames are not there yet."""
    late: bool
    """True while that is :data:`LATE_S` more than what every frame has to wait for."""
    fps: float
    """Frames per second handed out now; less than 30 only while late, and only down to ``min_fps``."""
    frames: int
    """Absolute frame after the last that is there."""
    faded: int
    """Frames beyond them that take the face to rest after the end."""
    left_out: int
    """Frames that were left out while late."""
    windows: int
    """Requests sent so far."""
    emotions: Emotions | None = None
    """The emotion that was heard in the sound of the last answer, about 3 s: a probability for each by name. None: none
    came yet, or the served model detects none."""


class Utterance:
    """One utterance, from its first sample to its last frame.

    Args:
        number: counted from 1.
        exchange: sends a request.
        prepare: says what requests need.
        sample_rate: Hertz of what will be pushed.
        settings: the session's.
        audio: True: each frame has its own sound.

    Raises:
        InvalidAudio: the rate is out of range.
    """

    def __init__(
        self,
        number: int,
        exchange: Exchange,
        prepare: Preparation,
        sample_rate: int,
        settings: LiveSettings,
        audio: bool,
    ) -> None:
        self.number = number
        self._exchange = exchange
        self._prepare = prepare
        self._settings = settings
        self._audio = SpokenAudio(sample_rate)
        self._echo = SpokenEcho(sample_rate) if audio else None
        self._emotions = EmotionTrack(settings.options())
        self._closures: list[tuple[float, float]] = []
        self._way: Way | None = None
        self._starting: asyncio.Task[None] | None = None
        self._ready: list[Frame] = []
        self._last: Frame | None = None
        self._flying: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self._error: Exception | None = None
        self._ended: str | None = None
        self._flushing = False
        self._fade_s = 0.0
        self._faded = 0
        self._divisor = 1
        self._left_out = 0
        self._requests = 0

    @property
    def status(self) -> LiveStatus:
        """Its state."""
        return LiveStatus(
            utterance=self.number,
            spoken_s=self._audio.most / SAMPLE_RATE,
            backlog_s=self._backlog_s(),
            late=self._late(),
            fps=FPS / self._divisor,
            frames=self._next_frame(),
            faded=self._faded,
            left_out=self._left_out,
            windows=self._requests,
            emotions=self._way.emotions if self._way is not None else None,
        )

    @property
    def ended(self) -> str | None:
        """The way in which it ended: flushed, cancelled or closed; None where it goes on, or failed."""
        return self._ended

    @property
    def flushing(self) -> bool:
        """True once its speech is over."""
        return self._flushing

    def close_lips(self, times: Iterable[tuple[float, float]]) -> None:
        """Say that the lips close at ``times`` (start and end in seconds), beyond what is handed out by now."""
        self._closures += times

    def check(self) -> None:
        """Raise the error that ended it, if one did and :meth:`stop` has not been called since."""
        if self._error is not None and self._ended is None:
            raise self._error

    def pending(self, error: Exception) -> bool:
        """Return True if ``error`` ended it, and frames are there that came before."""
        return error is self._error and bool(self._ready)

    def set_emotions(self, emotions: Mapping[str, float], at: float | None) -> None:
        """Change its emotions; see :meth:`~emotalk_client.live.session.AsyncLiveSession.set_emotions`."""
        if at is None and not self._audio.most:
            self._emotions.begin(emotions)
        else:
            self._emotions.set(emotions, self._audio.most / SAMPLE_RATE if at is None else at)

    async def feed(self, pcm: NDArray[Any]) -> None:
        """Take in speech; see :meth:`~emotalk_client.live.session.AsyncLiveSession.feed`."""
        block = self._audio.checked(pcm)
        await self._started()
        piece = max(1, round(PIECE_S * self._audio.rate))
        for start in range(0, len(block), piece):
            await self._room()
            self._check_open()
            self._hear(block[start : start + piece])
            self._advance()
            if self._flying is not None:
                await asyncio.sleep(0)  # a caller that never waits must let the request leave

    async def finish(self, fade_s: float) -> None:
        """Say that the speech is over; see :meth:`~emotalk_client.live.session.AsyncLiveSession.finish`."""
        await self._started()
        self._check_open()
        self._flushing = True
        self._fade_s = fade_s
        self._audio.flush()
        self._advance()
        self._settle()
        self._tell()

    async def receive(self) -> list[Frame]:
        """Wait until there is a frame; return [] when there will not be one any more."""
        while not self._ready and self._error is None and self._ended is None and not self._complete():
            await self.changed()
        frames = self.take()
        if not frames and self._complete():
            self._end("flushed")
        return frames

    async def rest(self) -> list[Frame]:
        """Wait for all frames that are left, after :meth:`finish`."""
        while self._error is None and self._ended is None and not self._complete():
            await self.changed()
        if self._ended not in (None, "flushed") or not self._complete():
            self._check_open()
        frames = self.take()
        self._end("flushed")
        return frames

    def take(self) -> list[Frame]:
        """Return the frames that are ready; after them, raise the error that ended it."""
        frames, self._ready = self._ready, []
        if not frames:
            self.check()
        return frames

    async def stop(self, how: str) -> None:
        """End it at once; without its frames, where it is ``cancelled``."""
        if how == "cancelled":
            self._ready.clear()
        self._end(how)
        tasks = [task for task in (self._flying, self._starting) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=UNWIND_S)

    async def changed(self) -> None:
        """Wait for news. A wait for a request ends when that does, at its deadline at last."""
        await self._change.wait()

    async def _started(self) -> None:
        """Wait until it is known what the served model needs."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        while self._way is None:
            self._check_open()
            await self.changed()

    async def _start(self) -> None:
        """Ask what the served model needs, and prepare what goes with every request."""
        try:
            recipe, inputs = await self._prepare(Deadline.after(self._settings.timeout_s))
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

    def _hear(self, block: NDArray[np.float32]) -> None:
        self._audio.push(block)
        if self._echo is not None:
            self._echo.push(mixed(block))

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
            self._settle()
            self._tell()

    def _give_up(self) -> None:
        """End an exchange that ignores its deadline."""
        if self._flying is not None:
            self._flying.cancel()
        self._fail(DeadlineExceeded(f"a request took longer than its {self._settings.timeout_s:g} s"))

    def _keep(self, blocks: Blocks) -> None:
        for first, rows in blocks:
            self._adapt()
            if self._closures:
                rows = closed(rows, np.arange(first, first + len(rows)) / FPS, self._closures)
                self._closures = [one for one in self._closures if one[1] > first / FPS - 1.0]  # no later frame's
            sounds = itertools.repeat(None) if self._echo is None else self._echo.take(first, len(rows))
            for index, (weights, sound) in enumerate(zip(rows, sounds, strict=False), first):
                if index % self._divisor:
                    self._left_out += 1
                else:
                    self._ready.append(Frame(index, index / FPS, weights, sound))
            self._last = self._ready[-1] if self._ready else self._last

    def _settle(self) -> None:
        """Let the face go to rest once all of its frames are there."""
        if self._fade_s and self._last is not None and self._complete():
            rate = self._audio.rate if self._echo is not None else None
            fade = faded(self._next_frame() - 1, self._last, self._fade_s, rate)
            self._fade_s, self._faded = 0.0, len(fade)
            self._ready += fade

    def _adapt(self) -> None:
        """Halve the rate while late, double it while not."""
        slowest = int(FPS / self._settings.min_fps)
        self._divisor = min(2 * self._divisor, slowest) if self._late() else max(1, self._divisor // 2)

    async def _room(self) -> None:
        """Wait until the backlog has room, or the session cannot go on."""
        while self._overdue_s() >= self._settings.backlog and self._error is None and self._ended is None:
            await self.changed()

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
        self.check()
        if self._ended is not None:
            raise SessionEnded(f"what was said was {self._ended}; its frames come no more")

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._tell()

    def _end(self, how: str) -> None:
        if self._ended is None:
            self._ended = how
        self._tell()
