"""The frames of ``emotalk live``: JSON lines as they come, or a file of another format at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
import typer

from emotalk_cli.look import Look
from emotalk_cli.targets import STANDARD_OUTPUT
from emotalk_client.errors import UnwritableFile
from emotalk_client.faces.animation import Animation, Frame
from emotalk_client.faces.formats import FORMATS, Format, format_of, jsonl, make_folder_of, writing
from emotalk_client.faces.outputs import Output
from emotalk_contract.timing import FPS

LINES = ".jsonl"


def check_output(output: Path | None, min_fps: float) -> None:
    """Refuse what cannot be written, before anything is computed.

    Raises:
        UnwritableFile, UnknownFormat, MissingExtra: OUT is a folder, of no known format, or its library is missing.
        typer.BadParameter: frames may be left out, and the format has a place for each.
    """
    if output is None or _takes_lines(output):
        return
    if output.is_dir():
        raise UnwritableFile(f"{output} is a directory; accepted: a file ({', '.join(FORMATS)}), or - for lines")
    format_of(output).check()
    if min_fps < FPS:
        raise typer.BadParameter(
            f"{min_fps:g} may leave frames out, and {output} has a place for each; accepted: {FPS}, or OUT{LINES}",
            param_hint="--min-fps",
        )


@contextmanager
def file_output(output: Path | None, look: Look = Look()) -> Iterator[Output]:  # noqa: B008  # it is frozen
    """Yield the output that writes ``output`` with ``look``; None: JSON lines to standard output.

    Raises:
        UnwritableFile: it cannot be written.
    """
    if output is None or str(output) == STANDARD_OUTPUT:
        yield Lines(sys.stdout)
        return
    if _takes_lines(output):
        with _open(output) as file:
            yield Lines(file)
        return
    make_folder_of(output)
    collected = Collected(output, format_of(output), look)
    try:
        yield collected
    finally:
        collected.close()


class Lines:
    """JSON lines, each written when its frame comes."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def send(self, frame: Frame) -> None:
        """Write ``frame``."""
        self._file.write(jsonl.line(frame.timecode, frame.weights, frame.rotations) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""


class Collected:
    """A file of a format that is written whole: at the end, with all frames that came."""

    def __init__(self, path: Path, kind: Format, look: Look) -> None:
        self._path = path
        self._look = look
        self._format = kind
        self._frames: list[Frame] = []

    def send(self, frame: Frame) -> None:
        """Keep ``frame``: 6 kB a second."""
        self._frames.append(frame)

    def close(self) -> None:
        """Write the file, if a frame came; does nothing the second time."""
        frames, self._frames = self._frames, []
        if frames:
            weights = np.stack([frame.weights for frame in frames])
            turned = [frame.rotations for frame in frames if frame.rotations is not None]
            rotations = np.stack(turned) if turned else None
            face = Animation(weights, np.array([frame.timecode for frame in frames]), rotations=rotations)
            head, vocabulary = self._look.of(self._path.suffix)
            self._format.write(face, self._path, head=head, vocabulary=vocabulary)


def _takes_lines(output: Path) -> bool:
    """True for standard output, ``.jsonl``, and a pipe or a device."""
    if str(output) == STANDARD_OUTPUT or (output.suffix.lower() == LINES and not output.is_dir()):
        return True
    return output.exists() and not output.is_file() and not output.is_dir()


@contextmanager
def _open(output: Path) -> Iterator[TextIO]:
    if output.suffix:
        make_folder_of(output)
    with writing(output):
        file = output.open("w", encoding="utf-8")
    with file:
        yield file
