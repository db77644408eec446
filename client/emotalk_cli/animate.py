"""``emotalk animate``: audio files into animation files."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from emotalk_cli.connection import Url, connect
from emotalk_client.client import EmoTalkClient
from emotalk_client.errors import EmoTalkError, ModelUnavailable, ServerError, ServerUnavailable
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS, format_of, make_folder_of
from emotalk_client.faces.resampling import check_rate
from emotalk_client.settings import AnimateOptions
from emotalk_contract import limits
from emotalk_contract.emotions import EMOTIONS
from emotalk_contract.errors import InvalidRequest
from emotalk_contract.timing import FPS

WIDE = 10_000
"""Columns of a table that is not on a terminal."""


def animate(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="wav, flac, mp3, ogg or opus")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="A file, or a folder for several.")],
    url: Url = None,
    format: Annotated[  # noqa: A002  # the option's name
        str | None, typer.Option(help="Formats for a folder, such as npy,csv,json,glb. Default: npy.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help=f"Frames a second of the files. Default: {FPS}, the network's own.")
    ] = None,
    level: Annotated[float, typer.Option(help="Emotion level, 0..1.")] = limits.DEFAULT_LEVEL,
    person: Annotated[int, typer.Option(help=f"Speaking style, 0..{limits.PERSONS - 1}.")] = limits.DEFAULT_PERSON,
    seed: Annotated[int, typer.Option(help="Of the blinks.")] = limits.DEFAULT_SEED,
    raw: Annotated[bool, typer.Option("--raw", help="The network's own output, nothing applied.")] = False,
    smooth: Annotated[bool, typer.Option("--smooth/--no-smooth", help="Smooth over time.")] = True,
    blink: Annotated[bool, typer.Option("--blink/--no-blink", help="Add blinks.")] = True,
    clamp: Annotated[bool, typer.Option("--clamp/--no-clamp", help="Clip to 0..1.")] = True,
    emotion: Annotated[
        list[str] | None, typer.Option(metavar="NAME=AMOUNT", help=f"0..1 of {', '.join(EMOTIONS)}; repeatable.")
    ] = None,
    gain: Annotated[list[str] | None, typer.Option(metavar="NAME=FACTOR", help="Of one blendshape.")] = None,
    offset: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of one blendshape.")] = None,
    emotion_audio: Annotated[Path | None, typer.Option(help="Take the emotion from this clip.")] = None,
    window: Annotated[
        float | None, typer.Option(help="Seconds of one window. Default: what the served model needs.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Seconds that windows share. Default: what the served model needs.")
    ] = None,
) -> None:
    """Animate audio files; the suffix of OUT says the format."""
    options: AnimateOptions = {
        "level": level,
        "person": person,
        "seed": seed,
        "raw": raw,
        "smooth": smooth,
        "blink": blink,
        "clamp": clamp,
        "emotions": by_name(emotion or [], "--emotion"),
        "gains": by_name(gain or [], "--gain"),
        "offsets": by_name(offset or [], "--offset"),
        "emotion_audio": emotion_audio,
        "window": window,
        "overlap": overlap,
    }
    jobs = plan_jobs(inputs, output, format)
    if fps is not None:
        check_rate(fps)
    said = Console(stderr=True, highlight=False)
    done: list[Done] = []
    failed = 0
    stopped: ServerError | None = None
    with connect(url) as client:
        for job in jobs:
            try:
                done.append(run(client, job, options, said, fps))
            except (ServerUnavailable, ModelUnavailable) as error:
                stopped = error  # the next file would fare no better
                break
            except (EmoTalkError, InvalidRequest) as error:
                failed += 1
                said.print(f"{job.source}: {type(error).__name__}: {error}", markup=False, soft_wrap=True)
    if done:
        # Into a pipe or a file a row is a line, whatever its length.
        Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(summary(done))
    if stopped is not None:
        raise stopped
    if failed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Job:
    """A file to animate, and the files to write."""

    source: Path
    targets: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a :class:`Job`."""

    job: Job
    face: Animation
    seconds: float
    """That it took."""


def plan_jobs(inputs: list[Path], output: Path, formats: str | None) -> list[Job]:
    """What to write for each input; mistakes are found before anything is computed."""
    if output.suffix and not output.is_dir() and len(inputs) == 1 and formats is None:
        format_of(output).check()
        return [Job(inputs[0], (output,))]
    if output.suffix in FORMATS and not output.is_dir():
        raise typer.BadParameter(f"{output} is one file; several need a folder", param_hint="-o")
    suffixes = [f".{name.strip().lstrip('.')}" for name in (formats or "npy").split(",")]
    for suffix in suffixes:
        format_of(Path(f"x{suffix}")).check()
    jobs = [Job(source, tuple(output / f"{source.stem}{suffix}" for suffix in suffixes)) for source in inputs]
    if len({job.targets for job in jobs}) < len(jobs):
        raise typer.BadParameter("two inputs have one name, and would write one file", param_hint="IN...")
    return jobs


def by_name(pairs: list[str], option: str) -> dict[str, float]:
    """``["jawOpen=1.2"]`` as a mapping."""
    values = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise typer.BadParameter(f"{pair!r}; accepted: NAME=NUMBER", param_hint=option) from None
    return values


def run(client: EmoTalkClient, job: Job, options: AnimateOptions, said: Console, fps: float | None) -> Done:
    """Animate one file and write its targets, at ``fps`` frames a second."""
    began = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=said, transient=True, disable=not said.is_terminal) as bar:
        task = bar.add_task(job.source.name, total=None)
        face = client.animate(
            job.source, progress=lambda frames, of: bar.update(task, completed=frames, total=of), **options
        )
    seconds = time.perf_counter() - began
    for target in job.targets:
        make_folder_of(target)
        face.save(target, fps=fps)
    return Done(job, face, seconds)


def summary(done: list[Done]) -> Table:
    """A row a file."""
    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for name in ("frames", "seconds", "took", "real-time factor"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("written", overflow="fold")
    for item in done:
        length = item.face.duration_s
        table.add_row(
            item.job.source.name,
            str(len(item.face)),
            f"{length:.2f}",
            f"{item.seconds:.2f} s",
            f"{item.seconds / length:.3f}",
            ", ".join(str(target) for target in item.job.targets),
        )
    return table
