"""Writes docs/commands.md from the commands themselves: ``python tools/commands_page.py [--update]``.

Without ``--update`` it checks that the page is what the commands say, and exits with 1 where it is not.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main

import emotalk_cli.app
import emotalk_export.cli
import emotalk_perf.cli
import emotalk_server.cli
import emotalk_training.cli

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"

logger = logging.getLogger(__name__)

HEAD = """<!-- Generated from the commands by `make configs`; do not edit. -->

# Commands

`emotalk` comes with the client, `emotalk-server` needs the extra `server`, `emotalk-export` the extra `export`,
`emotalk-perf` is for measurements, and `emotalk-train` (extra `train`) makes the bundled model.
"""


@dataclass(frozen=True, slots=True)
class Option:
    """One option or argument of a command."""

    names: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command, as its user calls it."""

    name: str
    meaning: str
    options: tuple[Option, ...]


def of_typer(name: str, command: Any) -> Iterator[Command]:
    """Yield ``command``, as typer made it, and those below it."""
    if hasattr(command, "commands"):
        if command.invoke_without_command:
            yield _of_click(name, command)
        for below, one in sorted(command.commands.items()):
            yield from of_typer(f"{name} {below}", one)
        return
    yield _of_click(name, command)


def _of_click(name: str, command: Any) -> Command:
    options = []
    for parameter in command.params:
        named = parameter.param_type_name == "option"
        if not getattr(parameter, "hidden", False):
            names = (
                [*parameter.opts, *parameter.secondary_opts] if named else [parameter.metavar or parameter.name.upper()]
            )
            joined = ", ".join(f"`{name}`" for name in names)
            options.append(Option(joined, _default(parameter.default), str(getattr(parameter, "help", "") or "")))
    return Command(name, (command.help or "").split("\n\n")[0].replace("\n", " "), tuple(options))


def of_argparse(parser: argparse.ArgumentParser) -> Iterator[Command]:
    """Yield the one command that ``parser`` reads."""
    options = []
    for action in parser._actions:
        if action.dest != "help":
            meaning = (action.help or "").replace("(default: %(default)s)", "").replace("default: %(default)s", "")
            names = ", ".join(f"`{name}`" for name in action.option_strings)
            options.append(Option(names, _default(action.default), meaning.strip()))
    yield Command(parser.prog, parser.description or "", tuple(options))


def commands() -> Iterator[Command]:
    """Yield every command of this project."""
    yield from of_typer("emotalk", typer.main.get_command(emotalk_cli.app.app))
    yield from of_argparse(emotalk_server.cli.parser())
    yield from of_typer("emotalk-export", typer.main.get_command(emotalk_export.cli.application))
    yield from of_typer("emotalk-perf", typer.main.get_command(emotalk_perf.cli.app))
    yield from of_typer("emotalk-train", typer.main.get_command(emotalk_training.cli.app))


def page() -> str:
    """Return the page, in Markdown."""
    parts = [HEAD]
    for command in commands():
        rows = [f"| {o.names} | {o.default} | {_cell(o.meaning)} |" for o in command.options]
        table = "\n".join(["| option | default | |", "|---|---|---|", *rows]) if rows else ""
        parts.append(f"## {command.name}\n\n{command.meaning}\n\n{table}".rstrip() + "\n")
    return "\n".join(parts)


def _default(value: object) -> str:
    if value is None or callable(value) or value is False or value in ([], ()) or "UNSET" in repr(value).upper():
        return ""
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Check the page, or write it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if "--update" in sys.argv[1:]:
        PAGE.write_text(page(), "utf-8")
        return 0
    if not PAGE.is_file() or PAGE.read_text("utf-8") != page():
        logger.error("%s is not what the commands say; run `make configs`", PAGE)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
