"""Files that a command is to write: one, several in a folder, or the bytes of one into a pipe (``-``, ``>(…)``).

Mistakes are found before anything is computed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from emotalk_cli.inputs import check_inputs, name_of
from emotalk_cli.look import Look
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS, format_of, make_folder_of, writing
from emotalk_contract.quoting import quoted

STANDARD_OUTPUT = "-"
TEXT = {".csv", ".json", ".jsonl", ".usda"}
"""Formats that a terminal can show."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """Somewhere for the bytes of one file."""

    path: Path
    """``-`` is standard output."""
    suffix: str
    """The format."""

    @property
    def is_standard_output(self) -> bool:
        """True for ``-``."""
        return str(self.path) == STANDARD_OUTPUT

    def write(self, face: Animation, fps: float | None, look: Look) -> None:
        """Send ``face`` at ``fps`` frames a second, with ``look``.

        Raises:
            UnwritableFile: it cannot be sent there.
        """
        with tempfile.TemporaryDirectory(prefix="emotalk-") as folder:
            file = Path(folder) / f"face{self.suffix}"
            head, vocabulary = look.of(self.suffix)
            face.save(file, fps=fps, head=head, vocabulary=vocabulary)
            with file.open("rb") as content:
                if self.is_standard_output:
                    shutil.copyfileobj(content, sys.stdout.buffer)
                    sys.stdout.buffer.flush()
                    return
                with writing(self.path), self.path.open("wb") as into:
                    shutil.copyfileobj(content, into)


@dataclass(frozen=True, slots=True)
class Job:
    """A file to animate, and the files to write."""

    source: Path
    targets: tuple[Path, ...]
    pipe: Pipe | None = None
    """Instead of files."""

    @property
    def name(self) -> str:
        """The name of the source in messages."""
        return self.source.name or str(self.source)

    @property
    def written(self) -> list[str]:
        """The names of what is written."""
        return [str(target) for target in self.targets] if self.pipe is None else [str(self.pipe.path)]

    @property
    def suffixes(self) -> list[str]:
        """The formats of what is written."""
        return [target.suffix.lower() for target in self.targets] if self.pipe is None else [self.pipe.suffix]

    def write(self, face: Animation, fps: float | None, look: Look = Look()) -> None:  # noqa: B008  # it is frozen
        """Write ``face`` at ``fps`` frames a second, with ``look``."""
        if self.pipe is not None:
            self.pipe.write(face, fps, look)
        for target in self.targets:
            make_folder_of(target)
            head, vocabulary = look.of(target.suffix)
            face.save(target, fps=fps, head=head, vocabulary=vocabulary)


def plan_jobs(inputs: Sequence[Path], output: Path, formats: str | None) -> list[Job]:
    """Return what to write for each input.

    Raises:
        typer.BadParameter: OUT cannot be what was asked for.
        UnknownFormat, MissingExtra: a format that is not one of ours, or that needs a library.
    """
    check_inputs(inputs)
    return _planned(inputs, output, formats)


def plan_spoken(output: Path, formats: str | None) -> Job:
    """Return what to write for a text, which has no file: ``speech`` in a folder; raises as :func:`plan_jobs`."""
    (job,) = _planned([Path("speech")], output, formats)
    return job


def _planned(inputs: Sequence[Path], output: Path, formats: str | None) -> list[Job]:
    if _is_pipe(output):
        return [_into_pipe(inputs, output, formats)]
    if output.suffix and not output.is_dir() and len(inputs) == 1 and formats is None:
        format_of(output).check()
        return [Job(inputs[0], (output,))]
    if output.suffix in FORMATS and not output.is_dir():
        said = "several need a folder" if len(inputs) > 1 else "its suffix is its format, and --format is for a folder"
        raise typer.BadParameter(f"{output} is one file; {said}", param_hint="-o")
    suffixes = suffixes_of(formats)
    jobs = [Job(source, tuple(output / f"{name_of(source)}{suffix}" for suffix in suffixes)) for source in inputs]
    if len({job.targets for job in jobs}) < len(jobs):
        raise typer.BadParameter("two inputs have one name, and would write one file", param_hint="IN...")
    return jobs


def _into_pipe(inputs: Sequence[Path], output: Path, formats: str | None) -> Job:
    suffixes = suffixes_of(formats)
    if len(suffixes) > 1:
        raise typer.BadParameter(f"{output} takes one format; {len(suffixes)} were given", param_hint="--format")
    if len(inputs) > 1:
        raise typer.BadParameter(f"{output} takes one face; {len(inputs)} inputs were given", param_hint="-o")
    pipe = Pipe(output, suffixes[0])
    if pipe.is_standard_output and pipe.suffix not in TEXT and sys.stdout.isatty():
        raise typer.BadParameter(
            f"standard output is a terminal, which cannot show {pipe.suffix}; accepted: --format csv, json, jsonl or "
            "usda, or a pipe",
            param_hint="-o",
        )
    return Job(inputs[0], (), pipe)


def suffixes_of(formats: str | None) -> list[str]:
    """Return the suffixes that ``--format`` names.

    Raises:
        typer.BadParameter: one is named twice.
        UnknownFormat, MissingExtra: a format that is not one of ours, or that needs a library.
    """
    suffixes = [f".{name.strip().lstrip('.')}" for name in (formats or "npy").split(",")]
    for suffix in suffixes:
        format_of(Path(f"x{suffix}")).check()
    if len(set(suffixes)) < len(suffixes):
        raise typer.BadParameter(f"{quoted(formats)} names a format twice", param_hint="--format")
    return suffixes


def _is_pipe(output: Path) -> bool:
    """True for standard output and whatever is there that is neither a file nor a folder."""
    return str(output) == STANDARD_OUTPUT or (output.exists() and not output.is_file() and not output.is_dir())
