"""``emotalk enqueue``: audio files into a queue, for workers to animate."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from emotalk_cli.given import refuse_given
from emotalk_cli.inputs import check_inputs, name_of, opened
from emotalk_cli.queue import DEAD, FRAMES, REQUESTS, Brokers, Dead, Format, Librdkafka, Results, kafka, write
from emotalk_cli.targets import suffixes_of
from emotalk_client.errors import EmoTalkError, UnreadableAudio
from emotalk_client.faces.resampling import check_rate
from emotalk_contract.quoting import quoted

if TYPE_CHECKING:
    from emotalk_gateway.kafka.collecting import Event
    from emotalk_gateway.kafka.enqueueing import Queued

REFERENCE = re.compile(r"(?:s3|https|file)://.+")
"""Inputs that are sent as they are, for workers to fetch."""
OF_THE_WAIT = ("output", "format", "results", "dead", "timeout")
"""Parameters of :func:`enqueue` that say something about the answers."""
WIDE = 10_000
"""Columns of a table that is not on a terminal."""


def enqueue(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="IN...", help="Audio files, -, or references: s3://…, https://…, file://…"),
    ],
    brokers: Brokers = "localhost:9092",
    topic: Annotated[str, typer.Option(metavar="TOPIC", help="Requests are put there.")] = REQUESTS,
    key: Annotated[
        str | None, typer.Option(help="Of all of them: those of one key are animated in their order. Default: none.")
    ] = None,
    options: Annotated[
        str | None, typer.Option(metavar="JSON", help="Options of the faces, by the names of the gateway's form.")
    ] = None,
    answer: Annotated[str, typer.Option(help="Rows of the answers: float32 or json.")] = "float32",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answers.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="With --wait, write them into this folder.")
    ] = None,
    format: Format = None,  # noqa: A002  # the option's name
    results: Results = FRAMES,
    dead: Dead = DEAD,
    timeout: Annotated[float, typer.Option(min=0.1, help="With --wait, seconds for all answers together.")] = 600.0,
    librdkafka: Librdkafka = None,
) -> None:
    """Put audio files into a queue; with --wait, exit status 1 unless each has a face."""
    if not wait:
        refuse_given(context, OF_THE_WAIT, "it is about answers, and nobody waits for them; accepted: with --wait")
    if output is None:
        refuse_given(context, ("format",), "nothing is written without a folder; accepted: with --output")
    if answer not in ("float32", "json"):
        raise typer.BadParameter(f"{quoted(answer)}; accepted: float32, json", param_hint="--answer")
    files = [Path(one) for one in inputs if not REFERENCE.fullmatch(one)]
    check_inputs(files)
    suffixes = suffixes_of(format)
    names = names_of(inputs, unique=output is not None)
    wanted = checked(options)
    said = Console(stderr=True, highlight=False)
    with kafka():
        from emotalk_gateway.kafka.clients import given_settings
        from emotalk_gateway.kafka.collecting import Collector
        from emotalk_gateway.kafka.enqueueing import Enqueuer
    given = given_settings(librdkafka or [])
    in_order = None if key is None else key.encode()
    ends: dict[str, End] = {}
    with ExitStack() as stack:
        # Reading begins before anything is sent, so that no answer is missed.
        collector = stack.enter_context(Collector(brokers, results, dead=dead, given=given, new=True)) if wait else None
        with Enqueuer(brokers, topic, given) as queue:
            sent = 0
            for one, name in zip(inputs, names, strict=True):
                try:
                    queue.send(value_of(one), name=name, key=in_order, options=wanted, answer=answer)
                    sent += 1
                except EmoTalkError as error:  # each file has its own error, and the rest is sent
                    said.print(f"{one}: {type(error).__name__}: {error}", markup=False, soft_wrap=True)
            queued = list(queue.acknowledged())
        if collector is not None:
            by_id = {one.request_id: one.name for one in queued}
            for event in shown(collector.of(by_id, timeout), len(by_id), said):
                ends[event.request_id] = end_of(event, by_id[event.request_id], output, suffixes)
    if queued:
        Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(summary(queued, ends, wait))
    if sent < len(inputs) or not all(end.well for end in ends.values()):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class End:
    """The end of a request."""

    words: str
    well: bool


def checked(options: str | None) -> dict[str, Any]:
    """Return the options in a JSON object, which workers would take.

    Raises:
        typer.BadParameter: it is not one.
        InvalidRequest: one of them is unknown or out of range.
    """
    if options is None:
        return {}
    try:
        given = json.loads(options)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise typer.BadParameter(
            f'{quoted(options)}; accepted: a JSON object such as {{"level": 0.8}}', param_hint="--options"
        )
    with kafka():
        from emotalk_gateway.service.options import animate_options
    animate_options({name: value for name, value in given.items() if name != "fps"})
    if "fps" in given:
        check_rate(given["fps"])
    return given


def names_of(inputs: list[str], *, unique: bool) -> list[str]:
    """Return the name of each input, by which its files are named where they are ``unique``.

    Raises:
        typer.BadParameter: two would write one file.
    """
    names = [name_of(Path(one)) for one in inputs]
    if unique and len(set(names)) < len(names):
        raise typer.BadParameter("two inputs have one name, and would write one file", param_hint="IN...")
    return names


def value_of(given: str) -> bytes:
    """Return the value of the record for an input: a reference as it is, or what is in a file.

    Raises:
        UnreadableAudio: the file cannot be read, or is too large for any record.
    """
    if REFERENCE.fullmatch(given):
        return given.encode()
    with opened(Path(given)) as source:
        try:
            content = source.read_bytes() if isinstance(source, Path) else source.read()
        except OSError as error:
            raise UnreadableAudio(f"{given} cannot be read: {error.strerror or error}") from error
    if not content:
        raise UnreadableAudio(f"{given} has 0 bytes; accepted: an audio file")
    return content


def shown(events: Iterator[Event], count: int, said: Console) -> Iterator[Event]:
    """Yield ``events``, with a bar on a terminal that counts the answers."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=said, transient=True, disable=not said.is_terminal) as bar:
        task = bar.add_task("answers", total=count)
        for event in events:
            yield event
            bar.advance(task)


def end_of(event: Event, name: str, folder: Path | None, suffixes: list[str]) -> End:
    """Return the end that an ``event`` is of the request called ``name``, whose files are written where asked for."""
    from emotalk_gateway.kafka.assembling import Trouble
    from emotalk_gateway.kafka.collecting import Died

    if isinstance(event, Died):
        return End(f"{event.error_class}: {event.error}", well=False)
    if isinstance(event, Trouble):
        return End(event.why, well=False)
    if folder is None:
        return End(f"{len(event.face)} frames", well=True)
    return End(", ".join(write(event.face, folder, name, suffixes, None)), well=True)


def summary(queued: list[Queued], ends: dict[str, End], waited: bool) -> Table:
    """Return a table with a row a request."""
    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("request id", no_wrap=True)
    for name in ("partition", "offset"):
        table.add_column(name, justify="right", no_wrap=True)
    if waited:
        table.add_column("answer", overflow="fold")
    for one in queued:
        row = [one.name, one.request_id, str(one.partition), str(one.offset)]
        table.add_row(*map(Text, [*row, ends[one.request_id].words] if waited else row))
    return table
