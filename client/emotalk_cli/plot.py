"""``emotalk plot``: a picture of a face over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emotalk_cli.connection import Url, connect
from emotalk_cli.given import refuse_given
from emotalk_cli.inputs import opened
from emotalk_client.audio.loading import load
from emotalk_client.faces.animation import Animation
from emotalk_client.faces.formats import FORMATS, make_folder_of
from emotalk_contract.timing import SAMPLE_RATE


def plot(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="Audio, or an animation that was written before.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.png", help="The picture.")],
    audio: Annotated[Path | None, typer.Option(help="The audio of an animation, for its spectrogram.")] = None,
    url: Url = None,
) -> None:
    """Draw the spectrogram, jaw, lips, brows and lids."""
    from emotalk_client.faces.plot import check_image
    from emotalk_client.faces.plot import plot as draw

    check_image(output)
    sound = None
    if source.suffix.lower() in FORMATS:
        refuse_given(context, ["url"], "an animation needs no server; accepted: --url with audio")
        face = Animation.load(source)
        if audio is not None:
            with opened(audio) as file:
                sound = load(file)
    else:
        refuse_given(context, ["audio"], "IN is audio itself; accepted: --audio with an animation")
        with opened(source) as file:
            sound = load(file)
        with connect(url) as client:
            face = client.animate(sound, sample_rate=SAMPLE_RATE)
    make_folder_of(output)
    draw(face, output, sound)
    typer.echo(f"wrote {output}")
