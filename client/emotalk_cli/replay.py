"""``emotalk replay``: dead letters back into their queue."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emotalk_cli.queue import DEAD, Brokers, Librdkafka, kafka
from emotalk_contract.quoting import quoted

if TYPE_CHECKING:
    from emotalk_gateway.kafka.replaying import Letter

WIDE = 10_000
"""Columns of a table that is not on a terminal."""


def replay(
    dead: Annotated[str, typer.Option(metavar="TOPIC", help="Dead letters are read from there.")] = DEAD,
    brokers: Brokers = "localhost:9092",
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Send them there. Default: where each came from.")
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(metavar="error_class=NAME", help="Only letters with this class of error; repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show them, and send nothing.")] = False,
    group: Annotated[
        str, typer.Option(help="Its offsets remember which letters were sent, by their classes.")
    ] = "emotalk.replay",
    librdkafka: Librdkafka = None,
) -> None:
    """Send dead letters again, each once; exit status 1 where one could not be sent."""
    classes = [class_of(one) for one in match or []]
    with kafka():
        from emotalk_gateway.kafka.clients import given_settings
        from emotalk_gateway.kafka.replaying import Replayer
    letters: list[Letter] = []
    with Replayer(brokers, dead, topic, given_settings(librdkafka or []), group) as replayer:
        try:
            letters.extend(replayer.letters(classes, dry=dry_run))
        finally:  # those that were sent before an error are said
            if letters:
                Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(summary(letters, dry_run))
    if not letters:
        typer.echo("no dead letter that was not sent before")
    if any(letter.problem for letter in letters):
        raise typer.Exit(1)


def class_of(match: str) -> str:
    """Return ``NAME`` of ``error_class=NAME``."""
    name, _, value = match.partition("=")
    if name != "error_class" or not value:
        raise typer.BadParameter(f"{quoted(match)}; accepted: error_class=NAME", param_hint="--match")
    return value


def summary(letters: list[Letter], dry: bool) -> Table:
    """Return a table with a row a letter."""
    table = Table(box=None, pad_edge=False)
    for name in ("letter", "request id", "error", "sent to" if not dry else "would be sent to"):
        table.add_column(name, overflow="fold")
    for one in letters:
        to = f"not sent: {one.problem}" if one.problem else one.topic
        table.add_row(*map(Text, (one.place, one.request_id, f"{one.error_class}: {one.error}", to)))
    return table
