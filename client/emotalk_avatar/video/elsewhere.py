"""Drawing in a process of its own, for a program that serves others meanwhile.

Rule that this module guards: **a driver or a codec that hangs or dies takes nothing with it.** The process is killed
when it does not answer in time, when whoever waits for it is cancelled, and at the end in any case; it ends by itself
when its starter is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar

from emotalk_avatar import errors as avatar_errors
from emotalk_avatar.video import errors as video_errors
from emotalk_avatar.video import framing
from emotalk_avatar.video.avatars import Drawn
from emotalk_avatar.video.errors import DrawingFailed
from emotalk_avatar.video.framing import Order
from emotalk_avatar.video.living import Shown
from emotalk_client import errors as client_errors

T = TypeVar("T")

START_S = 30.0
"""Seconds in which the process must be ready: it loads libraries, and a shader is compiled."""
PATIENCE_S = 15.0
"""Seconds in which it must say something, or take something, while it works."""
THREADS = "LP_NUM_THREADS"
"""Variable of Mesa's drawing on the processor: by default a picture is drawn by one thread, so that who draws for many
shares fairly."""


class Drawer:
    """The process; made by :func:`drawer`."""

    def __init__(self, process: asyncio.subprocess.Process, complaints: BinaryIO, patience_s: float) -> None:
        self._process = process
        self._complaints = complaints
        self._patience_s = patience_s
        self.size = (0, 0)
        """Width and height of its pictures."""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send a message.

        Raises:
            DrawingFailed: the process has died, or takes nothing.
        """
        assert self._process.stdin is not None  # noqa: S101  # a pipe, as it was started
        try:
            self._process.stdin.write(framing.message(kind, payload))
            await _within(self._process.stdin.drain(), self._patience_s)
        except asyncio.TimeoutError:  # first: it is an OSError since Python 3.11
            raise self._silent() from None
        except OSError as error:
            await self._died(error)

    async def receive(self, patience_s: float | None = None) -> tuple[bytes, bytes]:
        """Return kind and payload of the next answer.

        Raises:
            DrawingFailed: the process has died, or says nothing.
            EmoTalkError: as the process says.
        """
        assert self._process.stdout is not None  # noqa: S101  # a pipe, as it was started
        try:
            kind, payload = await _within(self._answer(self._process.stdout), patience_s or self._patience_s)
        except asyncio.IncompleteReadError as error:
            await self._died(error)
        except asyncio.TimeoutError:
            raise self._silent() from None
        if kind == framing.ERROR:
            raise _error(json.loads(payload))
        return kind, payload

    async def _answer(self, stream: asyncio.StreamReader) -> tuple[bytes, bytes]:
        kind, size = framing.HEAD.unpack(await stream.readexactly(framing.HEAD.size))
        return kind, await stream.readexactly(size)

    def _silent(self) -> DrawingFailed:
        return DrawingFailed(f"the process that draws said nothing for {self._patience_s:g} s")

    async def _died(self, error: Exception) -> NoReturn:
        if self._process.returncode is None:
            self._process.kill()  # it closed its end, and need not have ended
        status = await self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read()[-2000:].decode(errors="replace").strip().rpartition("\n")[2]
        raise DrawingFailed(f"the process that draws died (status {status}){': ' + said if said else ''}") from error


@asynccontextmanager
async def drawer(
    order: Order, avatar: Drawn | None = None, *, files: Sequence[int] = (), patience_s: float = PATIENCE_S
) -> AsyncIterator[Drawer]:
    """Yield a process that is ready for ``order``; it is gone after the block.

    Args:
        avatar: whose face is drawn; None: the bundled head.
        files: descriptors that it inherits.
        patience_s: seconds in which it must answer.

    Raises:
        DrawingFailed: it does not start.
        EmoTalkError: it cannot do what is ordered, as :class:`~emotalk_avatar.video.drawing.Drawing`.
    """
    with tempfile.TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("drawing_process.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            pass_fds=tuple(files),
            env={THREADS: "0", **os.environ},
            limit=2**20,
        )
        try:
            made = Drawer(process, complaints, patience_s)
            fps = 0.0 if avatar is None else avatar.fps
            await made.send(framing.ORDER, replace(order, avatar=avatar is not None, clip_fps=fps).packed())
            if avatar is not None:
                await made.send(framing.GLB, avatar.glb)
                if avatar.clip:
                    await made.send(framing.CLIP, avatar.clip)
                    await made.send(framing.FIT, avatar.fit)
            _, size = await made.receive(START_S)
            width, height = json.loads(size)
            made.size = (width, height)
            yield made
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def write_elsewhere(
    order: Order,
    avatar: Drawn | None,
    faces: Shown,
    sound: BinaryIO | None,
    out: BinaryIO,
    patience_s: float = PATIENCE_S,
) -> None:
    """Write ``faces`` with ``sound`` as the file that ``order`` asks for into ``out``.

    Args:
        sound: a file of the system, of any kind of sound that the client reads.
        out: a file of the system, empty.

    Raises:
        DrawingFailed: the process died, or did not answer in time.
        EmoTalkError: as :func:`~emotalk_avatar.video.rendering.write`.
    """
    files = [out.fileno()]
    order = replace(order, coding=None, out=_path(out.fileno()))
    if sound is not None:
        files.append(sound.fileno())
        order = replace(order, sound=_path(sound.fileno()))
    async with drawer(order, avatar, files=files, patience_s=patience_s) as process:
        await process.send(framing.FRAMES, framing.rows(0, faces.weights, faces.head))
        while (await process.receive())[0] != framing.DONE:
            pass


async def _within(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return what ``work`` returns; raise ``asyncio.TimeoutError`` where it takes longer.

    ``asyncio.wait_for`` of Python 3.10 and 3.11 loses a cancellation that comes as its work is done.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _path(descriptor: int) -> str:
    """Return a name under which a process opens a file that it inherited anew, from its beginning."""
    return f"/proc/self/fd/{descriptor}"


def _error(said: dict[str, Any]) -> Exception:
    for module in (avatar_errors, video_errors, client_errors):
        kind = getattr(module, str(said["error"]), None)
        if isinstance(kind, type) and issubclass(kind, client_errors.EmoTalkError):
            return kind(said["message"])
    return DrawingFailed(f"{said['error']}: {said['message']}")
