"""Which server a command talks to."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from emotalk_client.aio import DEFAULT_URL
from emotalk_client.client import EmoTalkClient
from emotalk_client.errors import MissingExtra, ServerError, ServerNotStarted

if TYPE_CHECKING:
    from emotalk_server import EmbeddedServer

logger = logging.getLogger(__name__)

CACHE_BYTES = 64 * 2**20
"""Of a server that is started for a command that goes on: whoever changes level or person gets the same speech anew."""
URL_VARIABLE = "EMOTALK_URL"
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="HOST:PORT",
        help=f"Triton's gRPC endpoint. Default: ${URL_VARIABLE}, or {DEFAULT_URL} if a server is there, "
        "or one that is started for the moment.",
    ),
]


def given_url(url: str | None) -> str | None:
    """What the user asked for, if anything."""
    return url or os.environ.get(URL_VARIABLE) or None


@contextmanager
def address(url: str | None, *, supervised: bool = False) -> Iterator[str]:
    """The server that the user named, or that is there, or that is started now.

    Args:
        supervised: one that is started is started again when it dies, for commands that go on for long.

    Raises:
        MissingExtra: a server would have to be started, and the extra for that is not installed.
        ServerNotStarted: it is installed, but something keeps it from starting.
    """
    named = given_url(url)
    if named is not None:
        yield named
    elif _is_there(DEFAULT_URL):
        yield DEFAULT_URL
    else:
        with _embedded(supervised) as started:
            yield started


@contextmanager
def connect(url: str | None) -> Iterator[EmoTalkClient]:
    """A client for the server at :func:`address`, whose errors these are."""
    with address(url) as found, EmoTalkClient(found) as client:
        yield client


def _is_there(url: str) -> bool:
    """Whether a server that has the ensemble answers at ``url``, busy or not; cheap where nobody listens at all."""
    host, port = url.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    with EmoTalkClient(url, timeout_s=2.0, retries=0) as client:
        try:
            client.describe()
        except ServerError:
            return False
    return True


@contextmanager
def _embedded(supervised: bool) -> Iterator[str]:
    try:
        from emotalk_server import EmbeddedServer, ServerStartError
        from emotalk_server.errors import TritonNotFound
    except ImportError as error:
        raise MissingExtra(_NO_SERVER) from error
    typer.echo(f"no server at {DEFAULT_URL}; starting an embedded one for this command", err=True)
    server = EmbeddedServer(cache_bytes=CACHE_BYTES if supervised else 0)
    try:
        server.start()
    except TritonNotFound as error:
        raise MissingExtra(_NO_SERVER) from error
    except ServerStartError as error:
        raise ServerNotStarted(f"{type(error).__name__}: {error}") from error
    with server, _supervised(server) if supervised else nullcontext():
        yield server.grpc_url


@contextmanager
def _supervised(server: EmbeddedServer) -> Iterator[None]:
    from emotalk_server import ServerStartError
    from emotalk_server.supervisor import ServerDied, supervise

    def watch() -> None:
        try:
            supervise(server, stopped)
        except (ServerDied, ServerStartError) as error:
            logger.error("the embedded server is gone: %s: %s", type(error).__name__, error)  # noqa: TRY400

    stopped = threading.Event()
    thread = threading.Thread(target=watch, name="emotalk-supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


_NO_SERVER = (
    f"no server was named, none listens at {DEFAULT_URL}, and none can be started here; "
    f"give --url or ${URL_VARIABLE}, or install `emotalk-triton[server]`"
)
