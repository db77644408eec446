"""Frames into a file in one of the formats.

Rule that this module guards: **a long clip is written elsewhere.** Some formats make objects of all numbers and let
nobody else run meanwhile, so what is longer than :data:`SHORT` is written by a process of its own, one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from emotalk_client.errors import UnwritableFile
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS
from emotalk_client.threads import in_thread

SHORT = 1800
"""Frames: a minute."""
PIECE = 2**20
"""Bytes that are written at once."""


async def converted(animation: Animation, suffix: str, alone: asyncio.Semaphore) -> BinaryIO:
    """Return ``animation`` as a file without a name, at its beginning, to be closed by the caller.

    Args:
        suffix: one of :data:`~emotalk_client.faces.formats.FORMATS`.
        alone: held while another process writes.

    Raises:
        UnwritableFile: there is no room for it.
    """
    with contextlib.ExitStack() as held:
        out = held.enter_context(_nameless())
        if len(animation) <= SHORT:
            await in_thread(write, animation, suffix, out)
        else:
            async with alone:
                await _elsewhere(animation, suffix, out)
        out.seek(0)
        held.pop_all()  # it is the caller's now
        return out


def write(animation: Animation, suffix: str, out: BinaryIO) -> None:
    """Write ``animation`` into ``out``. Formats write by names; the name says nothing of the caller."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"face{suffix}"
        FORMATS[suffix].write(animation, path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, out)
    out.flush()


async def _elsewhere(animation: Animation, suffix: str, out: BinaryIO) -> None:
    with _nameless() as given:
        await in_thread(_save, animation, given)
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                Path(__file__).with_name("conversion_process.py"),
                suffix,
                repr(float(animation.fps)),
                str(len(animation)),
            ),
            stdin=given,
            stdout=out,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode:
        raise UnwritableFile(f"the {suffix} file was not written: {said.decode(errors='replace')[-2000:]}")


def _save(animation: Animation, file: BinaryIO) -> None:
    for array in (animation.timecodes, animation.weights):
        content = array.tobytes()
        for start in range(0, len(content), PIECE):  # numpy's own writing lets nobody else run
            file.write(content[start : start + PIECE])
    file.seek(0)


def _nameless() -> BinaryIO:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise UnwritableFile(f"a file cannot be made: {error.strerror or error}") from error
