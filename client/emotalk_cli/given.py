"""Options that were given, as against those that have their defaults.

Rule that this module guards: **an option is obeyed or refused, never ignored.**
"""

from __future__ import annotations

from collections.abc import Iterable

import typer


def refuse_given(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse those of the options ``names`` (of the command's function) that stand on its command line.

    Raises:
        typer.BadParameter: one does; ``why`` says what it is for.
    """
    for parameter in context.command.params:
        if parameter.name in names and is_given(context, parameter.name):
            raise typer.BadParameter(why, ctx=context, param_hint=" / ".join(parameter.opts[:1]))


def is_given(context: typer.Context, name: str) -> bool:
    """True for an option that stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
