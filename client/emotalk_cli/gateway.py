"""``emotalk gateway``: faces over HTTP, and a page to watch them on."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emotalk_cli.connection import Url, address, security
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from emotalk_gateway.listening.doors import Door
    from emotalk_gateway.listening.tls import DoorTls
    from emotalk_gateway.service.service import Service
    from emotalk_gateway.service.settings import GatewaySettings


def gateway(
    url: Url = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free.")] = 8080,
    token: Annotated[
        str | None, typer.Option(envvar="EMOTALK_GATEWAY_TOKEN", help="Bearer token that callers must show.")
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="File of tokens (emotalk token); read again when it changes."),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Log of requests: who, what, how much; a line of JSON each.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Origin whose pages may ask; * for all; repeatable.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Name that it may be asked by, beside this machine's; * for any; repeatable."
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Certificate with its chain: TLS at every door; read again when it changes."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Callers must show a certificate by one of these.")
    ] = None,
    avatars: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs become avatars, which are kept there.")
    ] = None,
    max_upload_bytes: Annotated[int | None, typer.Option(help="Of one upload.")] = None,
    max_audio_s: Annotated[float | None, typer.Option(help="Seconds of one clip.")] = None,
    max_requests: Annotated[int | None, typer.Option(help="Uploads at once.")] = None,
    request_timeout_s: Annotated[float | None, typer.Option(help="Seconds of one request.")] = None,
    omniverse_port: Annotated[
        list[int] | None,
        typer.Option(min=0, max=65_535, help="Port for clients of Omniverse Audio2Face, such as 8190; repeatable."),
    ] = None,
    omniverse_folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder below which those clients have faces written.")
    ] = None,
    a2f_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Serve the clients of Audio2Face-3D too, over gRPC; theirs is 52000."),
    ] = None,
    a2f_host: Annotated[str | None, typer.Option(help="Address for them; default: that of --host.")] = None,
    a2f_tls_cert: Annotated[
        Path | None, typer.Option(help="That port's own certificate, PEM; default: that of --tls-cert.")
    ] = None,
    a2f_tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    a2f_tls_client_ca: Annotated[
        Path | None, typer.Option(help="Who signs the certificates that its callers must show, PEM: mTLS.")
    ] = None,
    emotalk_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Serve the clients of the EmoTalk service too; theirs is 50051."),
    ] = None,
    lipsync_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Serve a lip-sync server's clients too, over gRPC; theirs is 50051."),
    ] = None,
    lipsync_websocket_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Likewise, over its binary WebSocket; theirs is 8085.")
    ] = None,
) -> None:
    """Serve faces over HTTP, until Ctrl-C; every other setting is an environment variable (docs/gateway.md)."""
    try:
        from emotalk_gateway.app import create_app
        from emotalk_gateway.http.serving import Server
        from emotalk_gateway.listening import base_url, listen
        from emotalk_gateway.listening.tls import tls_of
        from emotalk_gateway.service.auditing import audited
        from emotalk_gateway.service.errors import InvalidSettings
        from emotalk_gateway.service.settings import load_settings
        from emotalk_gateway.service.tokens import load
        from emotalk_gateway.service.tracing import exported
    except ImportError as error:
        raise MissingExtra(f"the gateway needs {error.name}; install `emotalk-triton[gateway]`") from error
    if bool(omniverse_port) != (omniverse_folder is not None):
        raise InvalidSettings("one of --omniverse-port and --omniverse-folder is given; accepted: both, or neither")
    given: dict[str, Any] = {
        "token": token,
        "tokens": tokens,
        "audit": audit,
        "cors_origins": cors_origin,
        "allowed_hosts": allowed_host,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "tls_client_ca": tls_client_ca,
        "avatars": avatars,
        "max_upload_bytes": max_upload_bytes,
        "max_audio_s": max_audio_s,
        "max_requests": max_requests,
        "request_timeout_s": request_timeout_s,
    }
    if a2f_port is None and any((a2f_host, a2f_tls_cert, a2f_tls_key, a2f_tls_client_ca)):
        raise InvalidSettings("an option of --a2f-… is given without --a2f-port; accepted: both, or neither")
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    tls = tls_of(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    a2f_tls = tls_of(a2f_tls_cert, a2f_tls_key, a2f_tls_client_ca) or tls
    makers: list[Callable[[Service], Door]] = []
    if omniverse_folder is not None:
        makers += [_omniverse(settings, one, omniverse_folder, tls) for one in omniverse_port or []]
    if a2f_port is not None:
        makers.append(_audio2face(a2f_host or host, a2f_port, a2f_tls))
    if emotalk_port is not None:
        makers.append(_emotalk(host, emotalk_port, tls))
    if lipsync_port is not None or lipsync_websocket_port is not None:
        if settings.avatars is None:
            raise InvalidSettings("a lip-sync port is given without --avatars; accepted: both, for it shows avatars")
        makers += _lipsync(host, lipsync_port, lipsync_websocket_port, tls)
    # What cannot be is said before a server is started.
    for files in filter(None, (tls, a2f_tls)):
        files.read()
    if settings.tokens is not None:
        load(settings.tokens)
    with (
        exported("emotalk-gateway"),
        audited(settings.audit),
        listen(host, port) as listening,
        address(url, supervised=True, speech_if_any=True, avatars_if_any=settings.avatars is not None) as triton,
    ):
        client = AsyncEmoTalkClient(triton, timeout_s=settings.request_timeout_s, **security(url))

        def ready() -> None:
            doors = "".join(f", {said}" for said in server.said)
            here = base_url(listening, tls=settings.tls_cert is not None)
            typer.echo(f"emotalk gateway is ready: {here}{doors}, faces from {triton}")

        app = create_app(settings, client)
        server = Server(app, ready, [maker(app.state.service) for maker in makers])
        server.run(sockets=[listening])


def _omniverse(settings: GatewaySettings, port: int, folder: Path, tls: DoorTls | None) -> Callable[[Service], Door]:
    """Return what makes a door for the clients of Omniverse Audio2Face, on a port that is free now."""
    from emotalk_gateway.listening import listen
    from emotalk_gateway.omniverse.door import OmniverseDoor

    listen(settings.omniverse_host, port, "--omniverse-port").close()
    return lambda service: OmniverseDoor(service, port, folder, tls)


def _audio2face(host: str, port: int, tls: DoorTls | None) -> Callable[[Service], Door]:
    """Return what makes the door for the clients of Audio2Face-3D, on a port that is free now."""
    try:
        from emotalk_gateway.grpc.audio2face.door import audio2face_door
    except ImportError as error:
        raise MissingExtra(f"--a2f-port needs {error.name}; install `emotalk-triton[a2f]`") from error
    from emotalk_gateway.listening import listen

    listen(host, port, "--a2f-port").close()
    return lambda service: audio2face_door(service, host, port, tls)


def _emotalk(host: str, port: int, tls: DoorTls | None) -> Callable[[Service], Door]:
    """Return what makes the door for the clients of the EmoTalk service, on a port that is free now."""
    try:
        from emotalk_gateway.grpc.emotalk.door import emotalk_door
    except ImportError as error:
        raise MissingExtra(f"--emotalk-port needs {error.name}; install `emotalk-triton[a2f]`") from error
    from emotalk_gateway.listening import listen

    listen(host, port, "--emotalk-port").close()
    return lambda service: emotalk_door(service, host, port, tls)


def _lipsync(
    host: str, port: int | None, websocket_port: int | None, tls: DoorTls | None
) -> list[Callable[[Service], Door]]:
    """Return what makes the doors for a lip-sync server's clients, on ports that are free now."""
    try:
        from emotalk_gateway.grpc.lipsync.door import lipsync_door
    except ImportError as error:
        raise MissingExtra(f"--lipsync-port needs {error.name}; install `emotalk-triton[a2f]`") from error
    from emotalk_gateway.lipsync.door import LipSyncSocketDoor
    from emotalk_gateway.listening import listen
    from emotalk_gateway.service.lipsync import LipSync

    shared = cache(LipSync)
    makers: list[Callable[[Service], Door]] = []
    if port is not None:
        listen(host, port, "--lipsync-port").close()
        makers.append(lambda service: lipsync_door(service, shared(service), host, port, tls))
    if websocket_port is not None:
        listen(host, websocket_port, "--lipsync-websocket-port").close()
        makers.append(lambda service: LipSyncSocketDoor(service, shared(service), host, websocket_port, tls))
    return makers
