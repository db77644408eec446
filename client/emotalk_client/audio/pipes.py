"""Pipes, sockets and devices: what can be read once becomes a file that can seek."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from emotalk_client.audio.parts import Part
from emotalk_client.errors import InvalidAudio, UnreadableAudio

Source: TypeAlias = "str | os.PathLike[str] | BinaryIO"
"""A path or an open binary file."""

IN_MEMORY = 8 << 20
"""Bytes of a pipe that are kept in memory; more go to a nameless temporary file."""
MOST_SPOOLED = 16 << 30
"""Bytes of a pipe, at most: one without end must not fill the disk."""

_PIECE = 1 << 20


def name_of(source: object) -> str:
    """Return what messages call ``source``."""
    name = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    return "the file" if name is None or isinstance(name, int) else str(name)  # a number is a file without a name


def seekable(source: Source) -> bool:
    """Return whether ``source`` can be read twice; of a path to nothing, that is for whoever opens it to say."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return path.is_file() or path.is_dir() or not path.exists()
    return isinstance(source, io.TextIOBase) or bool(hasattr(source, "seekable") and source.seekable())


def spooled(source: Source) -> Part:
    """Return all that a pipe gives, as a file that can seek: in memory, or nameless on disk where it is much.

    Raises:
        InvalidAudio: it gives text, or does not end.
        UnreadableAudio: it cannot be read.
    """
    name = name_of(source)
    try:
        if not isinstance(source, (str, os.PathLike)):
            return _poured(source, name)
        with Path(source).open("rb") as pipe:
            return _poured(pipe, name)
    except OSError as error:
        raise UnreadableAudio(f"{name} cannot be read ({error}); accepted: an audio file") from error


async def spooled_aside(source: Source) -> Part:
    """:func:`spooled`, off the event loop. A caller that is cancelled leaves at once, though the pipe may never end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Part] = loop.create_future()

    def tell(part: Part | None, error: BaseException | None) -> None:
        if done.done():  # cancelled
            if part is not None:
                part.close()
        elif error is not None:
            done.set_exception(error)
        elif part is not None:
            done.set_result(part)

    def work() -> None:
        part, error = None, None
        try:
            part = spooled(source)
        except Exception as raised:  # noqa: BLE001  # handed to the caller
            error = raised
        try:
            loop.call_soon_threadsafe(tell, part, error)
        except RuntimeError:  # the loop has ended
            if part is not None:
                part.close()

    threading.Thread(target=work, name="emotalk-pipe", daemon=True).start()
    return await done


def _poured(pipe: BinaryIO, name: str) -> Part:
    out: Any = io.BytesIO()
    size = 0
    while piece := pipe.read(_PIECE):
        if not isinstance(piece, bytes):
            raise InvalidAudio(f"{name} was opened as text; accepted: an open binary file")
        if size <= IN_MEMORY < size + len(piece):
            content, out = out, tempfile.TemporaryFile()  # noqa: SIM115  # closed by the Part, or by its deletion
            out.write(content.getbuffer())
        size += len(piece)
        if size > MOST_SPOOLED:
            out.close()
            raise InvalidAudio(f"{name} gave more than {MOST_SPOOLED >> 30} GiB; accepted: a pipe that ends")
        out.write(piece)
    return Part(out, 0, size, owned=True, name=name)
