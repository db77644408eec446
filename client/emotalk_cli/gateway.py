"""``emotalk gateway``: faces over HTTP, and a page to watch them on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emotalk_cli.connection import Url, address, security
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.errors import MissingExtra

if TYPE_CHECKING:
    from emotalk_gateway.listening.doors import Door
    from emotalk_gateway.service.service import Service


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
        Path | None, typer.Option(metavar="PEM", help="Certificate with its chain: HTTPS; read again when it changes.")
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
    a2f_tls_cert: Annotated[Path | None, typer.Option(help="Certificate of that port, PEM: TLS.")] = None,
    a2f_tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    a2f_tls_client_ca: Annotated[
        Path | None, typer.Option(help="Who signs the certificates that callers must show, PEM: mTLS.")
    ] = None,
    emotalk_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Serve the clients of the EmoTalk service too; theirs is 50051."),
    ] = None,
) -> None:
    """Serve faces over HTTP, until Ctrl-C; every other setting is an environment variable (docs/gateway.md)."""
    try:
        from emotalk_gateway.app import create_app
        from emotalk_gateway.http.serving import Server
        from emotalk_gateway.listening import base_url, listen
        from emotalk_gateway.service.errors import InvalidSettings
        from emotalk_gateway.service.settings import load_settings
        from emotalk_gateway.service.tracing import exported
    except ImportError as error:
        raise MissingExtra(f"the gateway needs {error.name}; install `emotalk-triton[gateway]`") from error
    if bool(omniverse_port) != (omniverse_folder is not None):
        raise InvalidSettings("one of --omniverse-port and --omniverse-folder is given; accepted: both, or neither")
    given: dict[str, Any] = {
        "token": token,
        "tokens": tokens,
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
    with (
        exported("emotalk-gateway"),
        listen(host, port) as listening,
        address(url, supervised=True, speech_if_any=True, avatars_if_any=settings.avatars is not None) as triton,
    ):
        client = AsyncEmoTalkClient(triton, timeout_s=settings.request_timeout_s, **security(url))

        def ready() -> None:
            doors = "".join(f", {said}" for said in server.said)
            here = base_url(listening, tls=settings.tls_cert is not None)
            typer.echo(f"emotalk gateway is ready: {here}{doors}, faces from {triton}")

        app = create_app(settings, client)
        doors = _omniverse(app.state.service, omniverse_port or [], omniverse_folder)
        if a2f_port is not None:
            tls = (a2f_tls_cert, a2f_tls_key, a2f_tls_client_ca)
            doors.append(_audio2face(app.state.service, a2f_host or host, a2f_port, *tls))
        if emotalk_port is not None:
            doors.append(_emotalk(app.state.service, host, emotalk_port))
        server = Server(app, ready, doors)
        server.run(sockets=[listening])


def _omniverse(service: Service, ports: list[int], folder: Path | None) -> list[Door]:
    """Return a door for the clients of Omniverse Audio2Face on each of ``ports``."""
    from emotalk_gateway.omniverse.door import OmniverseDoor

    return [] if folder is None else [OmniverseDoor(service, port, folder) for port in ports]


def _audio2face(
    service: Service, host: str, port: int, certificate: Path | None, key: Path | None, client_ca: Path | None
) -> Door:
    """Return the door for the clients of Audio2Face-3D."""
    try:
        from emotalk_gateway.grpc.audio2face.door import audio2face_door
        from emotalk_gateway.grpc.tls import tls_of
    except ImportError as error:
        raise MissingExtra(f"--a2f-port needs {error.name}; install `emotalk-triton[a2f]`") from error
    return audio2face_door(service, host, port, tls_of(certificate, key, client_ca))


def _emotalk(service: Service, host: str, port: int) -> Door:
    """Return the door for the clients of the EmoTalk service."""
    try:
        from emotalk_gateway.grpc.emotalk.door import emotalk_door
    except ImportError as error:
        raise MissingExtra(f"--emotalk-port needs {error.name}; install `emotalk-triton[a2f]`") from error
    return emotalk_door(service, host, port)
