"""``emotalk animate``: audio files into animation files."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from emotalk_cli.connection import Url, connect
from emotalk_cli.face_options import (
    Emotion,
    EmotionKeys,
    EmotionStrength,
    EmotionTransition,
    Region,
    by_name,
    read_keys,
)
from emotalk_cli.given import refuse_given
from emotalk_cli.inputs import check_inputs, is_standard_input, opened
from emotalk_cli.look import Head, Lively, Look, Map, read_life
from emotalk_cli.targets import Job, plan_jobs
from emotalk_client.audio.loading import load
from emotalk_client.client import EmoTalkClient
from emotalk_client.errors import EmoTalkError, InvalidAddress, ModelUnavailable, ServerUnavailable
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.life import Life
from emotalk_client.faces.resampling import check_rate
from emotalk_client.settings import AnimateOptions
from emotalk_contract import limits
from emotalk_contract.errors import InvalidRequest
from emotalk_contract.timing import FPS, SAMPLE_RATE

logger = logging.getLogger(__name__)

NEVER_BETTER = (ServerUnavailable, ModelUnavailable, InvalidAddress)
"""Errors that the next file would get too."""
WIDE = 10_000
"""Columns of a table that is not on a terminal."""


def animate(
    context: typer.Context,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="wav, flac, mp3, ogg or opus; -: from standard input")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="A file, a folder for several, or -: to standard output."),
    ],
    url: Url = None,
    format: Annotated[  # noqa: A002  # the option's name
        str | None, typer.Option(help="Formats for a folder, such as npy,csv,json,glb, or the one for -. Default: npy.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help=f"Frames a second of the files. Default: {FPS}, the network's own.")
    ] = None,
    level: Annotated[float, typer.Option(help="Emotion level, 0..1.")] = limits.DEFAULT_LEVEL,
    person: Annotated[
        int, typer.Option(help="Speaking style, from 0; the served model has so many.")
    ] = limits.DEFAULT_PERSON,
    seed: Annotated[int, typer.Option(help="Of the blinks.")] = limits.DEFAULT_SEED,
    raw: Annotated[bool, typer.Option("--raw", help="The network's own output, nothing applied.")] = False,
    smooth: Annotated[bool, typer.Option("--smooth/--no-smooth", help="Smooth over time.")] = True,
    blink: Annotated[bool, typer.Option("--blink/--no-blink", help="Add blinks.")] = True,
    clamp: Annotated[bool, typer.Option("--clamp/--no-clamp", help="Clip to 0..1.")] = True,
    emotion: Emotion = None,
    emotion_keys: EmotionKeys = None,
    emotion_transition: EmotionTransition = limits.DEFAULT_EMOTION_TRANSITION_S,
    emotion_strength: EmotionStrength = 1.0,
    region: Region = None,
    gain: Annotated[list[str] | None, typer.Option(metavar="NAME=FACTOR", help="Of one blendshape.")] = None,
    offset: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of one blendshape.")] = None,
    emotion_audio: Annotated[Path | None, typer.Option(help="Take the emotion from this clip.")] = None,
    life: Lively = None,
    head: Head = None,
    spoken: Map = None,
    window: Annotated[
        float | None, typer.Option(help="Seconds of one window. Default: what the served model needs.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Seconds that windows share. Default: what the served model needs.")
    ] = None,
) -> None:
    """Animate audio files; the suffix of OUT says the format."""
    if raw:
        refuse_given(context, POST_PROCESSING, "--raw applies nothing; accepted: one of the two")
    jobs = plan_jobs(inputs, output, format)
    look = Look.read(head, spoken)
    look.check(jobs[0].suffixes)
    lives = read_life(life, seed)
    if fps is not None:
        check_rate(fps)
    options: AnimateOptions = {
        "level": level,
        "person": person,
        "seed": seed,
        "raw": raw,
        "smooth": smooth,
        "blink": blink,
        "clamp": clamp,
        "emotions": by_name(emotion, "--emotion"),
        "emotion_keys": read_keys(emotion_keys),
        "emotion_transition": emotion_transition,
        "emotion_strength": emotion_strength,
        "region": by_name(region, "--region"),
        "gains": by_name(gain, "--gain"),
        "offsets": by_name(offset, "--offset"),
        "window": window,
        "overlap": overlap,
    }
    if emotion_audio is not None:
        check_inputs([*inputs, emotion_audio])
        options.update(emotion_of(emotion_audio))
    said = Console(stderr=True, highlight=False)
    done: list[Done] = []
    failed = 0
    stopped: EmoTalkError | None = None
    with connect(url) as client:
        for job in jobs:
            try:
                done.append(run(client, job, options, said, Written(fps, look, lives)))
            except NEVER_BETTER as error:
                stopped = error
                break
            except BrokenPipeError:  # whoever read our output has enough
                raise
            except Exception as error:  # each file has its own error, and the rest is done
                failed += 1
                if not isinstance(error, (EmoTalkError, InvalidRequest)):
                    logger.debug("%s failed", job.source, exc_info=True)
                said.print(f"{job.source}: {type(error).__name__}: {error}", markup=False, soft_wrap=True)
    if done and done[0].job.pipe is not None:
        said.print(summary(done))
    elif done:
        # Into a pipe or a file a row is a line, whatever its length.
        Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(summary(done))
    if stopped is not None:
        raise stopped
    if failed:
        raise typer.Exit(1)


POST_PROCESSING = (
    *("smooth", "blink", "clamp", "emotion", "emotion_keys", "emotion_transition", "emotion_strength", "region"),
    *("gain", "offset"),
)
"""Parameters of :func:`animate` that are nothing to ``--raw``."""


@dataclass(frozen=True, slots=True)
class Written:
    """Rate, look and life of faces as they are written."""

    fps: float | None
    """Frames a second; None: the network's own."""
    look: Look
    life: Life


@dataclass(frozen=True, slots=True)
class Done:
    """A :class:`Job` that was done."""

    job: Job
    face: Animation
    seconds: float
    """That it took."""


def emotion_of(clip: Path) -> AnimateOptions:
    """Return the options that take the emotion from ``clip``; what can be read only once is read here."""
    if not is_standard_input(clip) and (clip.is_file() or not clip.exists()):
        return {"emotion_audio": clip}
    with opened(clip) as source:
        return {"emotion_audio": load(source), "emotion_sample_rate": SAMPLE_RATE}


def run(client: EmoTalkClient, job: Job, options: AnimateOptions, said: Console, written: Written) -> Done:
    """Animate one file and write its targets."""
    began = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=said, transient=True, disable=not said.is_terminal) as bar:
        task = bar.add_task(job.name, total=None)
        with opened(job.source) as source:
            face = client.animate(
                source, progress=lambda frames, of: bar.update(task, completed=frames, total=of), **options
            )
    seconds = time.perf_counter() - began
    job.write(face.lively(written.life), written.fps, written.look)
    return Done(job, face, seconds)


def strongest(face: Animation) -> Text:
    """Return the emotion that was heard most, and its probability."""
    name, probability = max((face.emotions or {"": 0.0}).items(), key=lambda item: item[1])
    return Text(f"{name} {probability:.2f}" if name else "")


def summary(done: list[Done]) -> Table:
    """Return a table with a row a file."""
    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for name in ("frames", "seconds", "took", "real-time factor"):
        table.add_column(name, justify="right", no_wrap=True)
    heard = any(item.face.emotions for item in done)
    if heard:
        table.add_column("heard", no_wrap=True)
    table.add_column("written", overflow="fold")
    for item in done:
        length = item.face.duration_s
        table.add_row(
            Text(item.job.name),
            str(len(item.face)),
            f"{length:.2f}",
            f"{item.seconds:.2f} s",
            f"{item.seconds / length:.3f}",
            *([strongest(item.face)] if heard else []),
            Text(", ".join(item.job.written)),
        )
    return table
