"""Audio that a command is given: a file, a pipe (``<(…)``, ``/dev/stdin``), or ``-`` for standard input.

Rule that this module guards: **what can be read only once is read here, off any event loop, into a copy on disk.** The
client reads a clip twice, and decoders seek.
"""

from __future__ import annotations

import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import typer

from emotalk_client.errors import UnreadableAudio

STANDARD_INPUT = {"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}
BLOCK = 1 << 20
"""Bytes that are copied at once."""
MAX_BYTES = 4 << 30
"""Of a pipe: ten hours of CD sound. One that never ends must end."""


def check_inputs(sources: Sequence[Path]) -> None:
    """Refuse standard input that is to be read twice.

    Raises:
        typer.BadParameter: several of ``sources`` are standard input.
    """
    if sum(is_standard_input(source) for source in sources) > 1:
        raise typer.BadParameter("standard input can be read once; it was given twice", param_hint="IN")


def is_standard_input(source: Path) -> bool:
    """True for ``-`` and the names that systems have for it."""
    return str(source) in STANDARD_INPUT


def name_of(source: Path) -> str:
    """Return the name that files made from ``source`` have, without a suffix."""
    return "stdin" if is_standard_input(source) else source.stem


@contextmanager
def opened(source: Path) -> Iterator[Path | BinaryIO]:
    """Yield ``source`` as the client takes it: a file's path, or an open file with what came out of a pipe.

    Raises:
        UnreadableAudio: it is a directory, a terminal or nothing that can be read.
    """
    try:
        if is_standard_input(source):
            with _copied(sys.stdin.buffer, "standard input") as copy:
                yield copy
            return
        kind = source.stat().st_mode if source.exists() else stat.S_IFREG  # what is not there is for the client to say
    except OSError as error:
        raise UnreadableAudio(f"{source} cannot be read: {error.strerror or error}") from error
    if stat.S_ISDIR(kind):
        raise UnreadableAudio(f"{source} is a directory; accepted: an audio file, a pipe, or - for standard input")
    if stat.S_ISREG(kind):
        if not _is_text(source) and source.is_file():
            with _reading(source) as file:  # libraries of C want names of text
                yield file
        else:
            yield source
        return
    with _reading(source) as pipe, _copied(pipe, str(source)) as copy:
        yield copy


@contextmanager
def _reading(source: Path) -> Iterator[BinaryIO]:
    try:
        file = source.open("rb")
    except OSError as error:
        raise UnreadableAudio(f"{source} cannot be read: {error.strerror or error}") from error
    with file:
        yield file


@contextmanager
def _copied(pipe: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Yield a file, to be read again and again, with all that comes out of ``pipe``."""
    if pipe.isatty():
        raise UnreadableAudio(f"{name} is a terminal; accepted: audio from a file or a pipe")
    with tempfile.NamedTemporaryFile(prefix="emotalk-") as file:
        _copy(pipe, cast("BinaryIO", file), name)
        copy = cast("BinaryIO", file.file)
        copy.raw.name = name  # type: ignore[attr-defined]  # the name in the errors of whoever reads it
        yield copy


def _copy(pipe: BinaryIO, file: BinaryIO, name: str) -> None:
    try:
        while part := pipe.read(BLOCK):
            file.write(part)
            if file.tell() > MAX_BYTES:
                raise UnreadableAudio(f"{name} goes on and on; accepted: at most {MAX_BYTES >> 30} GiB")
        file.flush()
        file.seek(0)
    except OSError as error:
        raise UnreadableAudio(f"{name} cannot be copied to read it: {error.strerror or error}") from error


def _is_text(source: Path) -> bool:
    try:
        str(source).encode()
    except UnicodeEncodeError:
        return False
    return True
