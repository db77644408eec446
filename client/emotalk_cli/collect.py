"""``emotalk collect``: answers of a queue into animation files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from emotalk_cli.given import refuse_given
from emotalk_cli.queue import DEAD, FRAMES, Brokers, Dead, Format, Librdkafka, file_name, kafka, write
from emotalk_cli.targets import suffixes_of
from emotalk_client.faces.resampling import check_rate
from emotalk_contract.quoting import quoted

if TYPE_CHECKING:
    from emotalk_gateway.kafka.collecting import Collector, Event

ISOLATIONS = ("read_committed", "read_uncommitted")


def collect(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A folder for a file an answer, named by its request.")
    ],
    brokers: Brokers = "localhost:9092",
    topic: Annotated[str, typer.Option(metavar="TOPIC", help="Answers are read from there.")] = FRAMES,
    dead: Dead = DEAD,
    request_id: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this request's, waiting for it; repeatable.")
    ] = None,
    isolation: Annotated[
        str, typer.Option(help="read_committed, or read_uncommitted: also what transactions have not decided on.")
    ] = "read_committed",
    format: Format = None,  # noqa: A002  # the option's name
    fps: Annotated[float | None, typer.Option(help="Frames a second of the files. Default: as answered.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Only what comes from now on.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="With --request-id, seconds for all together.")] = 600.0,
    librdkafka: Librdkafka = None,
) -> None:
    """Write the answers that are there, or the ones that are asked for; exit status 1 where one of those has none."""
    if isolation not in ISOLATIONS:
        raise typer.BadParameter(f"{quoted(isolation)}; accepted: {', '.join(ISOLATIONS)}", param_hint="--isolation")
    if request_id and follow:
        raise typer.BadParameter(
            "it never ends, and --request-id does; accepted: one of the two", param_hint="--follow"
        )
    if not request_id:
        refuse_given(context, ("timeout",), "it is for requests that are waited for; accepted: with --request-id")
        if not follow:
            refuse_given(context, ("new",), "nothing is new yet; accepted: with --request-id or --follow")
    suffixes = suffixes_of(format)
    if fps is not None:
        check_rate(fps)
    with kafka():
        from emotalk_gateway.kafka.clients import given_settings
        from emotalk_gateway.kafka.collecting import Collector
    given = given_settings(librdkafka or [])
    said = Console(stderr=True, highlight=False)
    seen = Seen()
    with Collector(brokers, topic, dead=dead, given=given, isolation=isolation, new=new) as collector:
        rest = collector.follow() if follow else collector.all()
        events = collector.of(request_id, timeout) if request_id else rest
        try:
            for event in shown(events, collector, seen, said):
                take(event, seen, output, suffixes, fps, said)
        except KeyboardInterrupt:
            if not follow:
                raise
        left = collector.waiting
    for one, frames in sorted(left.items()):
        if one in (request_id or left):
            said.print(f"{quoted(one)}: {frames} frames, and no final record", markup=False, soft_wrap=True)
    typer.echo(f"{seen.answers} answers, {seen.died} dead letters, {seen.troubles} answers that were not believed")
    if request_id and (seen.died or seen.answers < len(set(request_id))):
        raise typer.Exit(1)


@dataclass
class Seen:
    """Counts."""

    answers: int = 0
    died: int = 0
    troubles: int = 0


def shown(events: Iterator[Event], collector: Collector, seen: Seen, said: Console) -> Iterator[Event]:
    """Yield ``events``, with a line on a terminal that counts them."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=said, transient=True, disable=not said.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        for event in events:
            yield event
            bar.update(task, description=f"{seen.answers} answers, {len(collector.waiting)} not whole yet")


def take(event: Event, seen: Seen, folder: Path, suffixes: list[str], fps: float | None, said: Console) -> None:
    """Write an answer, or say what became of it."""
    from emotalk_gateway.kafka.assembling import Trouble
    from emotalk_gateway.kafka.collecting import Died

    if isinstance(event, Died):
        seen.died += 1
        said.print(f"{quoted(event.request_id)}: {event.error_class}: {event.error}", markup=False, soft_wrap=True)
    elif isinstance(event, Trouble):
        seen.troubles += 1
        said.print(f"{event}", markup=False, soft_wrap=True)
    elif not event.again:
        seen.answers += 1
        for path in write(event.face, folder, file_name(event.request_id), suffixes, fps):
            typer.echo(path)
