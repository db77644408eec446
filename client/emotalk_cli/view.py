"""``emotalk view``: a face that was made before, on the gateway's page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from emotalk_client.audio.loading import expected_samples
from emotalk_client.errors import InvalidRate, MissingExtra, UnreadableAnimation
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS, format_of
from emotalk_client.faces.head.own import OwnHead

LOOPBACK = "127.0.0.1"
"""A result is shown to this machine only."""


def view(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help=f"An animation: {', '.join(FORMATS)}.")],
    audio: Annotated[Path, typer.Argument(metavar="AUDIO", help="Its sound, of any kind that animate reads.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    fps: Annotated[float | None, typer.Option(help="Of a file that does not say its own, such as .npy.")] = None,
    head: Annotated[
        Path | None,
        typer.Option("--head", metavar="FILE", help="A .glb or .vrm that speaks instead of the packaged head."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it.")] = True,
) -> None:
    """Show a face and its sound in a browser, until Ctrl-C."""
    try:
        from emotalk_gateway.listening import base_url, listen
        from emotalk_gateway.page.result import serve
        from emotalk_gateway.page.viewer import ShownResult
    except ImportError as error:
        raise MissingExtra(f"the page needs {error.name}; install `emotalk-triton[gateway]`") from error
    own = None if head is None else OwnHead.load(head)
    shown = ShownResult(_read(result, fps), _checked(audio), f"{result.name}, {audio.name}", own)
    with listen(LOOPBACK, port) as listening:
        url = base_url(listening)

        def ready() -> None:
            if own is not None:
                typer.echo(own.words(), err=True)
            typer.echo(f"{result.name} is shown at {url} (Ctrl-C ends it)")
            if browser:
                webbrowser.open(url)

        serve(shown, listening, ready)


def _read(path: Path, fps: float | None) -> Animation:
    """Return the animation in ``path``, with at least a frame in it."""
    format_of(path)
    if not path.is_file():
        raise UnreadableAnimation(f"{path} is {'a directory' if path.is_dir() else 'not a file'}")
    face = Animation.load(path, fps=fps)
    if fps is not None and face.fps != fps:
        raise InvalidRate(f"fps is {fps:g}, and {path} says {face.fps:g}; accepted: --fps with a file that says none")
    if not len(face):
        raise UnreadableAnimation(f"{path} has no frames; accepted: at least one")
    return face


def _checked(audio: Path) -> Path:
    """Return ``audio``, once its header was read; errors are those of :func:`emotalk_client.audio.loading.load`."""
    expected_samples(audio)
    return audio
