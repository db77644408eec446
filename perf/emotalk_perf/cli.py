"""The command ``emotalk-perf``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer

from emotalk_client import EmoTalkError, InvalidRequest
from emotalk_client.audio import load
from emotalk_ensemble.server import EmbeddedServer, ServerStartError
from emotalk_ensemble.timing import SAMPLE_RATE
from emotalk_perf import equivalence as equal
from emotalk_perf import gateway as overhead
from emotalk_perf import streams as live_streams
from emotalk_perf.report import renew

app = typer.Typer(help="Measure a server.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

OVERLAPS_S = (0.5, 3.0)
LIVES = ("default,default", "1,default", "0.5,default")
"""Context and look-ahead of the live streams that are compared."""
COUNTS = (1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64)

Audio = Annotated[list[Path], typer.Argument(help="Speech; several files are joined.")]
Url = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A running server. Default: one started for this.")]
Repository = Annotated[Path | None, typer.Option(help="What the started server serves. Default: the bundled model.")]
Page = Annotated[Path | None, typer.Option(help="Renew a block of this Markdown page instead of printing.")]
Block = Annotated[str, typer.Option(help="Name of that block.")]
Image = Annotated[Path | None, typer.Option("--plot", help="Also draw an image.")]


@app.command()
def equivalence(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    raw: Annotated[bool, typer.Option("--raw/--smooth", help="Raw weights, or smoothed ones.")] = True,
    repeat: Annotated[int, typer.Option(min=1, help="How often the speech is repeated.")] = 1,
    live: Annotated[
        list[str] | None,
        typer.Option(metavar="CONTEXT,LOOK_AHEAD", help="Of a live stream, in seconds, or default; several times."),
    ] = None,
    page: Page = None,
    block: Block = "equivalence",
    image: Image = None,
) -> None:
    """Compare chunks, windows and live streams with the whole clip."""
    clip = np.concatenate([load(path) for path in audio] * repeat)
    windows: list[tuple[float | None, float | None]] = [(None, overlap) for overlap in OVERLAPS_S]
    with _server(url, repository) as address:
        measured = equal.run(
            address, clip, raw=raw, windows=[*windows, (None, None)], lives=[_pair(text) for text in live or LIVES]
        )
    _put(equal.markdown(measured), page, block)
    if image is not None:
        equal.plot(measured, image)


@app.command()
def streams(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    seconds: Annotated[float, typer.Option(min=2.0, help="Of each stream.")] = 20.0,
    count: Annotated[list[int] | None, typer.Option(help="Streams at once; may be given several times.")] = None,
    page: Page = None,
    block: Block = "streams",
    image: Image = None,
) -> None:
    """Run ever more paced live streams at once, until 95 % of frames are no longer in time."""
    clip = np.concatenate([load(path) for path in audio])
    with _server(url, repository) as address:
        loads = live_streams.run(address, clip, count or COUNTS, seconds)
    _put(live_streams.markdown(loads), page, block)
    if image is not None:
        live_streams.plot(loads, image)


@app.command()
def gateway(
    audio: Audio,
    url: Url = None,
    repository: Repository = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Of the clip; speech is repeated as needed.")] = 25.0,
    runs: Annotated[int, typer.Option(min=1, help="Of each.")] = 40,
    page: Page = None,
    block: Block = "gateway",
) -> None:
    """Compare the gateway's stream of a file with the thin client's animation of it."""
    clip = np.resize(np.concatenate([load(path) for path in audio]), round(seconds * SAMPLE_RATE))
    with tempfile.TemporaryDirectory() as folder, _server(url, repository) as address:
        file = Path(folder) / "clip.flac"
        soundfile.write(file, clip, SAMPLE_RATE)
        measured = overhead.run(address, file, seconds, runs)
    _put(overhead.markdown(measured), page, block)


def _pair(text: str) -> tuple[float | None, float | None]:
    """``"4,default"`` as (4.0, None)."""
    try:
        context, look_ahead = (None if part == "default" else float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r}; accepted: CONTEXT,LOOK_AHEAD", param_hint="--live") from None
    return context, look_ahead


@contextmanager
def _server(url: str | None, repository: Path | None) -> Iterator[str]:
    """The address of the server to measure."""
    if url is not None:
        yield url
    else:
        with EmbeddedServer(repository) as server:
            yield server.grpc_url


def _put(text: str, page: Path | None, block: str) -> None:
    if page is None:
        typer.echo(text)
    else:
        renew(page, block, text)


def main() -> None:
    """Run the command; a mistake is one line and exit status 1."""
    try:
        app()
    except (EmoTalkError, InvalidRequest, ServerStartError, ValueError) as error:
        typer.echo(f"emotalk-perf: {type(error).__name__}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
