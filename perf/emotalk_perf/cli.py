"""The command ``emotalk-perf``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from emotalk_client import EmoTalkClient, EmoTalkError, InvalidRequest
from emotalk_client.audio import load
from emotalk_perf.equivalence import markdown, measure

app = typer.Typer(
    help="Measure a running server.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

OVERLAPS_S = (0.5, 1.5, 3.0, 7.5)


@app.callback()
def _commands() -> None:
    pass  # makes typer keep the name of a single sub-command


@app.command()
def equivalence(
    audio: Annotated[list[Path], typer.Argument(help="Speech; several files are joined.")],
    url: Annotated[str, typer.Option(metavar="HOST:PORT")] = "localhost:8001",
    window: Annotated[float, typer.Option(help="Seconds.")] = 25.0,
) -> None:
    """Compare windows with the whole clip; prints a table in Markdown."""
    clip = np.concatenate([load(path) for path in audio])
    with EmoTalkClient(url) as client:
        typer.echo(markdown(measure(client, clip, window, OVERLAPS_S)))


def main() -> None:
    """Run the command; a mistake is one line and exit status 1."""
    try:
        app()
    except (EmoTalkError, InvalidRequest, ValueError) as error:
        typer.echo(f"emotalk-perf: {type(error).__name__}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
