"""``emotalk token``: the tokens of a gateway's callers, in a file."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from emotalk_contract.quoting import quoted

VARIABLE = "EMOTALK_GATEWAY_TOKENS"
File = Annotated[
    Path,
    typer.Option(
        "--file", envvar=VARIABLE, metavar="JSON", help="The gateway's file of tokens; it reads it again by itself."
    ),
]

token = typer.Typer(help="Tokens of a gateway's callers: made, listed, revoked.", no_args_is_help=True)


@token.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whose it is; stands in logs and metrics.")],
    file: File,
    scope: Annotated[list[str], typer.Option(metavar="SCOPE", help="animate, live, avatars or admin; repeatable.")],
    requests: Annotated[int | None, typer.Option(help="Requests that may begin in a minute.")] = None,
    streams: Annotated[int | None, typer.Option(help="Streams at once.")] = None,
    speech_s: Annotated[float | None, typer.Option(help="Seconds of speech in a minute.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Its end, such as 2027-01-01 (UTC); default: none.")
    ] = None,
) -> None:
    """Make a token, print it this once, and keep its digest in the file."""
    from emotalk_gateway.service import tokens
    from emotalk_gateway.service.errors import InvalidSettings

    made = tokens.new_token()
    given = {"requests": requests, "streams": streams, "speech_s": speech_s, "expires": expires}
    line: dict[str, Any] = {"name": name, "sha256": tokens.digest(made).hex(), "scopes": scope}
    line |= {field: value for field, value in given.items() if value is not None}
    (one,) = tokens.parsed({"tokens": [line]})
    with tokens.changing(file) as known:
        if any(other.caller.name == name for other in known):
            raise InvalidSettings(f"there is a token of {name!r} already; accepted: another name, or revoke it first")
        known.append(one)
    typer.echo(made)
    typer.echo(f"{name} shows it as a bearer token; only its digest is kept, in {file}", err=True)


@token.command("list")
def listed(file: File) -> None:
    """Show whose tokens there are, and what they may; the tokens themselves nobody knows."""
    from emotalk_gateway.service import tokens
    from emotalk_gateway.service.callers import SCOPES

    table = Table("name", "scopes", "requests/min", "streams", "speech s/min", "until (UTC)")
    now = datetime.now(timezone.utc)
    for one in tokens.load(file):
        limits = one.caller.limits
        scopes = " ".join(scope for scope in SCOPES if one.caller.may(scope))
        amounts = ("-" if most is None else f"{most:g}" for most in (limits.requests, limits.streams, limits.speech_s))
        until = "-" if one.expires is None else f"{one.expires:%Y-%m-%d %H:%M}{' (over)' if one.expired(now) else ''}"
        table.add_row(one.caller.name, scopes, *amounts, until)
    Console().print(table)


@token.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="Whose.")], file: File) -> None:
    """Forget a token: from the next request on it is a wrong one."""
    from emotalk_gateway.service import tokens
    from emotalk_gateway.service.errors import InvalidSettings

    with tokens.changing(file) as known:
        found = [one for one in known if one.caller.name == name]
        if not found:
            names = ", ".join(one.caller.name for one in known) or "none, the file has no tokens"
            raise InvalidSettings(f"there is not a token of {quoted(name)}; accepted: {names}")
        known.remove(found[0])
    typer.echo(f"the token of {name} is revoked")
