"""``emotalk plot``: a picture of a face over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emotalk_cli.connection import Url, connect
from emotalk_client.audio.loading import load
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS, make_folder_of


def plot(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Audio, or an animation that was written before.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.png")],
    audio: Annotated[Path | None, typer.Option(help="The audio of an animation, for its spectrogram.")] = None,
    url: Url = None,
) -> None:
    """Draw the spectrogram, jaw, lips, brows and lids."""
    from emotalk_client.faces.plot import check_image
    from emotalk_client.faces.plot import plot as draw

    check_image(output)
    if source.suffix.lower() in FORMATS:
        face = Animation.load(source)
        sound = load(audio) if audio is not None else None
    else:
        sound = load(source)
        with connect(url) as client:
            face = client.animate(source)
    make_folder_of(output)
    draw(face, output, sound)
    typer.echo(f"wrote {output}")
