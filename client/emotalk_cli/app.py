"""The command line: its sub-commands, and how mistakes are reported."""

from __future__ import annotations

import importlib.metadata
import io
import logging
import os
import sys
from typing import Annotated

import typer

from emotalk_cli import (
    animate,
    avatar,
    avatar_render,
    avatar_strip,
    collect,
    enqueue,
    gateway,
    health,
    live,
    plot,
    replay,
    say,
    token,
    view,
    worker,
)
from emotalk_client.errors import EmoTalkError
from emotalk_contract.errors import InvalidRequest

app = typer.Typer(
    help="Speech in, a living face out: EmoTalk through NVIDIA Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("animate")(animate.animate)
app.command("say")(say.say)
app.command("live")(live.live)
app.command("gateway")(gateway.gateway)
app.command("worker")(worker.worker)
app.command("enqueue")(enqueue.enqueue)
app.command("collect")(collect.collect)
app.command("replay")(replay.replay)
app.command("health")(health.health)
app.command("plot")(plot.plot)
app.command("view")(view.view)
app.add_typer(avatar.avatar, name="avatar")
avatar.avatar.command("render")(avatar_render.render_avatar)
avatar.avatar.command("strip")(avatar_strip.strip_avatar)
app.add_typer(token.token, name="token")


def _version(wanted: bool) -> None:
    if wanted:
        try:
            number = importlib.metadata.version("emotalk-triton")
        except importlib.metadata.PackageNotFoundError:  # run from a folder that was never installed
            number = "unknown"
        typer.echo(f"emotalk-triton {number}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what happens inside.")] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)


def main() -> None:
    """Run the command; a mistake is one line and exit status 1, never a traceback."""
    try:
        app()
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (EmoTalkError, InvalidRequest) as error:
        typer.echo(f"emotalk: {type(error).__name__}: {error}", err=True)
        sys.exit(1)
