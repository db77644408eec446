"""``emotalk avatar strip``: how an avatar looks in eight poses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emotalk_avatar.package import GLB
from emotalk_avatar.video.strip import POSES, strip
from emotalk_cli.avatar import Store, opened
from emotalk_client.faces.formats import make_folder_of, writing

MIN_SIDE, MAX_SIDE = 64, 1024


def strip_avatar(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PNG", help="The picture.")],
    avatar_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="As its registration printed it. Default: the bundled head.")
    ] = None,
    store: Store = None,
    side: Annotated[
        int, typer.Option(min=MIN_SIDE, max=MAX_SIDE, help=f"Pixels of a pose, {MIN_SIDE}..{MAX_SIDE}.")
    ] = 240,
) -> None:
    """Draw an avatar that rests, says aa, oo, ee, mm and f, blinks and smiles."""
    if output.suffix.lower() != ".png":
        raise typer.BadParameter(f"{output} is not a picture that is written; accepted: .png", param_hint="--output")
    kept = opened(store)
    pixels = strip(None if avatar_id is None else kept.read(kept.get(avatar_id), GLB), side)
    from PIL import Image

    make_folder_of(output)
    with writing(output):
        Image.fromarray(pixels).save(output)
    typer.echo(f"{', '.join(POSES)}: {output}", err=True)
