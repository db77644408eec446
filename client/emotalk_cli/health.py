"""``emotalk health``: one face from a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from emotalk_cli.connection import Url, given_url, security
from emotalk_client.aio import DEFAULT_URL
from emotalk_client.client import EmoTalkClient


def health(
    url: Url = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds in which a face must come.")] = 10.0,
) -> None:
    """Send a short clip through a running server; exit status 1 if no face comes back."""
    with EmoTalkClient(given_url(url) or DEFAULT_URL, timeout_s=timeout, retries=0, **security(url)) as client:
        found = client.health()
    typer.echo(f"{found.url} serves {found.model}; the shortest clip took {found.latency_s * 1000:.0f} ms")
