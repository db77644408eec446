"""Frames of a conversation as pictures: drawn by a process of its own, encoded, sent as they come.

Rule that this module guards: **a picture that comes too late is not drawn.** Frames of a text come ahead of their time,
those of speech at its pace; where drawing falls behind that, at least every third is still drawn. While nothing is
said, the face rests with life in it.

A picture is a binary message: flags (:data:`~emotalk_avatar.video.framing.KEY`, where it can be decoded by itself, and
:data:`~emotalk_avatar.video.framing.IDLE`, where nothing is said), the microseconds of the utterance at which it is
shown (uint64, little-endian; of an idle one, those of the connection), and its bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.video import framing
from emotalk_avatar.video.elsewhere import Drawer, drawer
from emotalk_avatar.video.encoding import codec_of
from emotalk_avatar.video.framing import Coding
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.life import HISTORY, Life, Lived, energy
from emotalk_client.faces.rotations import HEAD
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.timing import FPS
from emotalk_gateway.service.callers import Caller
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.videos import Look

LATE_S = 0.3
"""Seconds behind its time from which on a picture may be left out."""
LEAST = 3
"""Frames of which one is drawn all the same."""
PIECE = 4
"""Frames that are drawn before anything else is looked at, such as a barge-in."""
REST_S = 0.4
"""Seconds after the time of the last frame from which on the face is idle."""
IDLE_FPS = 15
"""Pictures a second of one that is."""


class Pictures:
    """The pictures of one connection; made by :func:`pictures`."""

    def __init__(self, process: Drawer, coding: Coding, life: Life, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._process = process
        self._coding = coding
        self._life = life
        self._send = send
        self._drawing = asyncio.Lock()
        self._number = 0
        """Of the utterance whose frames are drawn."""
        self._first = 0
        """Its first frame."""
        self._began = 0.0
        """When that would have come, had none come late."""
        self._newest = -LEAST
        """The frame that was drawn last."""
        self._base = 0
        """Frames of the connection before the utterance: life goes on from one to the next."""
        self._heard = np.zeros(HISTORY)
        self._key_wanted = False
        self._opened = asyncio.get_running_loop().time()
        self._rests_from = self._opened

    def described(self) -> dict[str, Any]:
        """Return what a caller must know to decode them."""
        width, height = self._process.size
        return {"codec": codec_of(self._coding, self._process.size), "width": width, "height": height}

    async def show(self, number: int, frames: Sequence[Frame], stopped: Callable[[], bool] = lambda: False) -> int:
        """Draw and send ``frames`` of the utterance ``number``, until ``stopped``; return how many were dealt with.

        Raises:
            DrawingFailed: the process died, or hangs.
            StreamIdle: the caller does not read.
        """
        done = 0
        async with self._drawing:
            if number != self._number:
                self._begin(number, frames[0].index)
            # Frames that came late themselves are not late for drawing: only what waited for it is.
            self._began += max(0.0, self._now() - self._due(frames[-1].index))
            while done < len(frames) and not stopped():
                piece = frames[done : done + PIECE]
                done += len(piece)
                await self._draw([self._lived(frame) for frame in piece if self._in_time(frame.index)])
            self._rests_from = max(self._now(), self._due(frames[-1].index)) + REST_S
        return done

    def keyframe(self) -> None:
        """Let the next picture be one that can be decoded by itself."""
        self._key_wanted = True

    async def rest(self) -> None:
        """Draw the face at rest once, and while nothing is said; raises as :meth:`show`."""
        await self._rest()
        while True:
            await asyncio.sleep(1 / IDLE_FPS)
            if self._now() >= self._rests_from and not self._life.still:
                await self._rest()

    async def _rest(self) -> None:
        async with self._drawing:
            if self._now() < self._rests_from:  # somebody spoke meanwhile
                return
            frame = self._elapsed()
            lived = self._life.of(np.zeros((1, BLENDSHAPE_COUNT), np.float32), frame)
            await self._draw([(frame, lived)], framing.IDLE)

    def _begin(self, number: int, first: int) -> None:
        self._number, self._first, self._began = number, first, self._now()
        self._newest = first - LEAST
        self._base = self._elapsed() - first
        self._heard = np.zeros(HISTORY)

    def _in_time(self, index: int) -> bool:
        """Return whether the frame ``index`` shall be drawn; count it then."""
        if self._now() - self._due(index) > LATE_S and index - self._newest < LEAST:
            return False
        self._newest = index
        return True

    def _due(self, index: int) -> float:
        return self._began + (index - self._first) / FPS

    def _lived(self, frame: Frame) -> tuple[int, Lived]:
        weights: NDArray[np.float32] = frame.weights[None]
        lived = self._life.of(weights, max(0, self._base + frame.index), self._heard)
        self._heard = np.concatenate([self._heard[1:], energy(weights)])
        return frame.index, lived

    async def _draw(self, frames: Sequence[tuple[int, Lived]], flags: int = 0) -> None:
        if self._key_wanted:
            self._key_wanted = False
            await self._process.send(framing.KEYFRAME)
        for index, lived in frames:
            await self._process.send(framing.FRAMES, self._row(index, lived, flags))
        for _ in frames:
            _, payload = await self._process.receive()
            await self._send(bytes([payload[0] | flags]) + payload[1:] if flags else payload)

    def _row(self, index: int, lived: Lived, flags: int) -> bytes:
        before = 0 if flags & framing.IDLE else self._base
        return framing.rows(index, lived.weights, lived.rotations[:, HEAD], before)

    def _elapsed(self) -> int:
        """Return the frames of the connection by now."""
        return round((self._now() - self._opened) * FPS)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def pictures(
    service: Service, caller: Caller, coding: Coding, look: Look, send: Callable[[bytes], Awaitable[None]]
) -> AsyncIterator[Pictures]:
    """Yield the pictures of ``look``, which go out by ``send``.

    Raises:
        GatewayFull: as many streams as may be are drawn already.
        EmoTalkError: as :func:`~emotalk_avatar.video.elsewhere.drawer`, and of the avatar.
    """
    with service.videos.streams.admit():
        avatar = await service.videos.avatar(caller, look.avatar_id)
        async with drawer(replace(look.order, coding=coding, fps=float(FPS)), avatar) as process:
            yield Pictures(process, coding, look.life, send)
