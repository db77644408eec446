"""``emotalk avatar render``: speech, or a text, into a video of the face that speaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from emotalk_avatar.video.avatars import drawn
from emotalk_avatar.video.drawing import Drawing
from emotalk_avatar.video.living import shown
from emotalk_avatar.video.picturing import read_background, read_size
from emotalk_avatar.video.rendering import Sound, opened_sound, write
from emotalk_avatar.video.writing import MAX_FPS, SUFFIXES, check_fps, check_suffix, import_av
from emotalk_cli.avatar import Store
from emotalk_cli.avatar import opened as opened_store
from emotalk_cli.avatar_neural import checked_renderer, film_it, recorded, sitting, spoken
from emotalk_cli.connection import Url, connect
from emotalk_cli.face_options import Emotion, Region, by_name
from emotalk_cli.given import refuse_given
from emotalk_cli.inputs import opened
from emotalk_cli.look import read_life
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS, make_folder_of
from emotalk_client.faces.life import AMOUNTS, SMALL
from emotalk_client.saying import Wanted
from emotalk_client.settings import FaceOptions
from emotalk_contract import limits, speech
from emotalk_contract.timing import FPS


def render_avatar(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help=f"A file: {', '.join(SUFFIXES)}.")],
    source: Annotated[
        Path | None,
        typer.Argument(metavar="IN", help="Speech of any kind that animate reads; or an animation, with --audio."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Instead of IN: what to say.")] = None,
    audio: Annotated[Path | None, typer.Option(metavar="FILE", help="The sound of an animation.")] = None,
    avatar: Annotated[
        str | None, typer.Option(metavar="ID", help="As its registration printed it. Default: the bundled head.")
    ] = None,
    store: Store = None,
    renderer: Annotated[
        str | None,
        typer.Option(help="A network of your own that draws the mouth of --avatar: wav2lip or unet328."),
    ] = None,
    url: Url = None,
    fps: Annotated[float, typer.Option(help=f"Pictures a second, 1..{MAX_FPS}.")] = float(FPS),
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="In pixels. Default: 512x512; of an avatar, its own.")
    ] = None,
    background: Annotated[
        str | None, typer.Option(metavar="#RRGGBB|FILE", help="Behind the head: a colour, or a picture.")
    ] = None,
    mark: Annotated[bool, typer.Option("--mark", help="Write on the pictures that they are synthetic.")] = False,
    language: Annotated[str, typer.Option(help="Of the text, such as en or fa.")] = speech.DEFAULT_LANGUAGE,
    voice: Annotated[str | None, typer.Option(help="Of the text: a name that the server knows.")] = None,
    level: Annotated[float, typer.Option(help="Emotion level, 0..1.")] = limits.DEFAULT_LEVEL,
    person: Annotated[
        int, typer.Option(help="Speaking style, from 0; the served model has so many.")
    ] = limits.DEFAULT_PERSON,
    seed: Annotated[int, typer.Option(help="Of blinks and life.")] = limits.DEFAULT_SEED,
    life: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=AMOUNT",
            help=f"0..1 of {', '.join(AMOUNTS)}; repeatable. Default: {SMALL.head:g} of each.",
        ),
    ] = None,
    emotion: Emotion = None,
    region: Region = None,
) -> None:
    """Draw the face that speaks, into a video with its sound."""
    import_av()
    check_suffix(output.suffix)
    check_fps(fps)
    if (source is None) == (text is None):
        raise typer.BadParameter("either IN or --text is needed; accepted: one of them", param_hint="IN")
    if text is None:
        refuse_given(context, ["language", "voice"], "IN is spoken already; accepted: with --text")
    if source is not None and source.suffix.lower() in FORMATS:
        refuse_given(context, FACE, "an animation is as it is; accepted: with audio, or --text")
    else:
        refuse_given(context, ["audio"], "IN has its own sound; accepted: --audio with an animation")
    chosen = by_name(life, "--life")
    usual = [f"{name}={getattr(SMALL, name)}" for name in AMOUNTS if name not in chosen]
    lived = read_life([*usual, *(life or [])], seed)
    wanted_size = read_size(size)
    said = Console(stderr=True, highlight=False)
    began = time.perf_counter()
    if (network := checked_renderer(renderer)) is not None:
        if avatar is None:
            raise typer.BadParameter("it draws an avatar; accepted: with --avatar", param_hint="--renderer")
        refuse_given(context, MOVED, "a renderer draws what it hears, and nothing else; accepted: without --renderer")
        who = sitting(opened_store(store), avatar)
        with ExitStack() as held:
            heard = spoken(text, Wanted(language, voice), url) if text is not None else recorded(source, held)
            make_folder_of(output)
            with _told(said, output.name) as progress:
                film_it(heard, who, network, url, output, fps=fps, size=wanted_size, mark=mark, progress=progress)
        _report(said, output, heard.seconds, began)
        return
    if avatar is None:
        refuse_given(context, ["store"], "the bundled head is in no folder; accepted: with --avatar")
        drawing = Drawing(None, wanted_size, read_background(background, wanted_size))
    else:
        refuse_given(context, ["background"], "an avatar has its photograph behind it; accepted: without --avatar")
        kept = opened_store(store)
        files = drawn(kept.get(avatar), kept.read)
        drawing = Drawing(files.glb, wanted_size, clip=files.clip_of)
    options: FaceOptions = {
        "level": level,
        "person": person,
        "seed": seed,
        "emotions": by_name(emotion, "--emotion"),
        "region": by_name(region, "--region"),
    }
    with ExitStack() as held:
        sound: Sound | None
        if text is not None:
            face, sound = _spoken(text, Wanted(language, voice), url, options)
        elif source is not None:
            face, sound = _heard(source, audio, url, options, held)
        make_folder_of(output)
        with _told(said, output.name) as progress:
            write(shown(face, fps, lived), sound, drawing, output, fps=fps, mark=mark, progress=progress)
    _report(said, output, face.duration_s, began)


FACE = ("url", "level", "person", "seed", "emotion", "region")
"""Parameters of :func:`render_avatar` that are nothing to an animation."""
MOVED = ("audio", "background", "level", "person", "seed", "life", "emotion", "region")
"""Likewise, that are nothing to a renderer."""


@contextmanager
def _told(said: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what is called with the pictures that are done, and how many there will be."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=said, transient=True, disable=not said.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _report(said: Console, output: Path, length_s: float, began: float) -> None:
    took = time.perf_counter() - began
    said.print(f"{length_s:.2f} s in {took:.2f} s: {output}", markup=False, soft_wrap=True)


def _spoken(text: str, wanted: Wanted, url: str | None, options: FaceOptions) -> tuple[Animation, Sound]:
    wanted.inputs(text)  # before a server is started
    with connect(url, speech=True) as client:
        spoken = client.say(text, language=wanted.language, voice=wanted.voice, **options)
    samples = spoken.audio.astype(np.float32) / np.float32(2**15)
    return spoken.animation, Sound(iter([samples]), spoken.sample_rate, 1)


def _heard(
    source: Path, audio: Path | None, url: str | None, options: FaceOptions, held: ExitStack
) -> tuple[Animation, Sound | None]:
    if source.suffix.lower() in FORMATS:
        face = Animation.load(source)
        return face, None if audio is None else held.enter_context(opened_sound(held.enter_context(opened(audio))))
    file = held.enter_context(opened(source))
    with connect(url) as client:
        face = client.animate(file, **options)
    if not isinstance(file, Path):
        file.seek(0)
    return face, held.enter_context(opened_sound(file))
