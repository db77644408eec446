"""The server that a command talks to."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, TypedDict

import numpy as np
import typer

from emotalk_avatar.models import FaceModels
from emotalk_client.aio import DEFAULT_URL, AsyncEmoTalkClient
from emotalk_client.client import EmoTalkClient
from emotalk_client.errors import MissingExtra, ServerError, ServerNotStarted
from emotalk_client.wire.security import Tls
from emotalk_contract.avatar import DETECTOR_SIDE
from emotalk_contract.errors import InvalidRequest
from emotalk_contract.renderers import VARIABLE as RENDERERS_VARIABLE
from emotalk_contract.speech import VOICES_VARIABLE

if TYPE_CHECKING:
    from emotalk_server.groups import Group

VOICE = "hibari"
"""The library of the extra ``text``."""
CACHE_BYTES = 64 * 2**20
"""Of a server that is started for a command that goes on: whoever changes level or person gets the same speech anew."""
URL_VARIABLE = "EMOTALK_URL"
TLS_VARIABLE = "EMOTALK_TLS"
"""``1``: the server that was named speaks TLS, with a certificate by those whom gRPC trusts."""
CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE = "EMOTALK_TLS_CA", "EMOTALK_TLS_CERT", "EMOTALK_TLS_KEY"
"""Files, as :class:`~emotalk_client.Tls` takes them."""
TOKEN_VARIABLE = "EMOTALK_SERVER_TOKEN"  # noqa: S105  # a variable's name
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
    """Return what the user asked for, if anything."""
    return url or os.environ.get(URL_VARIABLE) or None


class Security(TypedDict, total=False):
    """Keywords of a client."""

    tls: Tls | bool
    token: str | None


def security(url: str | None) -> Security:
    """Return what the environment says of the server that the user named; one of this machine is asked as it is.

    Raises:
        InvalidTls: the variables do not fit each other.
    """
    if given_url(url) is None:
        return {}
    files = {"ca": CA_VARIABLE, "certificate": CERTIFICATE_VARIABLE, "key": KEY_VARIABLE}
    given = {name: os.environ[variable] for name, variable in files.items() if os.environ.get(variable)}
    tls: Tls | bool = Tls(**given) if given else os.environ.get(TLS_VARIABLE) == "1"
    return {"tls": tls, "token": os.environ.get(TOKEN_VARIABLE) or None}


@contextmanager
def address(
    url: str | None,
    *,
    supervised: bool = False,
    speech: bool = False,
    speech_if_any: bool = False,
    avatars: bool = False,
    avatars_if_any: bool = False,
) -> Iterator[str]:
    """Yield the URL of the server that the user named, or that is there, or that is started now.

    Args:
        supervised: the command goes on for long, so that a server that is started keeps what was asked before. (Any
            that is started is started again when it dies.)
        speech: the command needs voices, so that a server that is started has them, and one of this machine that does
            not is left alone.
        speech_if_any: a server that is started has voices where they are installed.
        avatars: the command needs the models that see a face, likewise.
        avatars_if_any: a server that is started has those models.

    Raises:
        MissingExtra: a server would have to be started, and the extra for that is not installed.
        ServerNotStarted: it is installed, but something keeps it from starting.
    """
    named = given_url(url)
    if named is not None:
        yield named
    elif _is_there(DEFAULT_URL) and (not speech or _speaks(DEFAULT_URL)) and (not avatars or _sees_faces(DEFAULT_URL)):
        yield DEFAULT_URL
    else:
        kind = "server with voices" if speech else "server that sees faces" if avatars else "server"
        groups: list[Group] = ["core", "live"]
        if speech or (speech_if_any and find_spec(VOICE) is not None):
            groups.append("speech")
        if avatars or avatars_if_any:
            groups.append("avatar")
        with _embedded(kind, tuple(groups), lasting=supervised) as started:
            yield started


@contextmanager
def connect(url: str | None, *, speech: bool = False) -> Iterator[EmoTalkClient]:
    """Yield a client for the server at :func:`address`, whose errors these are."""
    with address(url, speech=speech) as found, EmoTalkClient(found, **security(url)) as client:
        yield client


def _is_there(url: str) -> bool:
    """Return whether a server that has the ensemble answers at ``url``, busy or not; cheap where nobody listens."""
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


def _speaks(url: str) -> bool:
    """Return whether the server at ``url`` has voices."""
    with EmoTalkClient(url, timeout_s=2.0, retries=0) as client:
        try:
            client.say("a")
        except ServerError:
            return False
        except InvalidRequest:  # it has a model for them, and says what that lacks
            return True
    return True


def _sees_faces(url: str) -> bool:
    """Return whether the server at ``url`` has the models that see a face."""

    async def asked() -> None:
        async with AsyncEmoTalkClient(url, timeout_s=2.0, retries=0) as client:
            await FaceModels(client).detect(np.zeros((1, DETECTOR_SIDE, DETECTOR_SIDE, 3), np.float32))

    try:
        asyncio.run(asked())
    except ServerError:
        return False
    return True


@contextmanager
def _embedded(missing: str, groups: tuple[Group, ...], *, lasting: bool) -> Iterator[str]:
    try:
        from emotalk_server import EmbeddedServer, ServerStartError, tracing
        from emotalk_server.errors import TritonNotFound
    except ImportError as error:
        raise MissingExtra(_NO_SERVER) from error
    typer.echo(f"no {missing} at {DEFAULT_URL}; starting an embedded one for this command", err=True)
    server = EmbeddedServer(
        cache_bytes=CACHE_BYTES if lasting else 0,
        groups=groups,
        trace_url=tracing.endpoint(),
        voices=os.environ.get(VOICES_VARIABLE, ""),
        renderers=os.environ.get(RENDERERS_VARIABLE) or None,
    )
    try:
        server.start()
    except TritonNotFound as error:
        raise MissingExtra(_NO_SERVER) from error
    except ServerStartError as error:
        raise ServerNotStarted(f"{type(error).__name__}: {error}") from error
    try:
        yield server.grpc_url
    finally:
        server.stop()


_NO_SERVER = (
    f"no server was named, none listens at {DEFAULT_URL}, and none can be started here; "
    f"give --url or ${URL_VARIABLE}, or install `emotalk-triton[server]`"
)
