"""Who may ask: a bearer token, where one is set, and for browsers the origin of the page."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from emotalk_gateway.service.errors import NotAuthorised, OriginNotAllowed
from emotalk_gateway.service.settings import GatewaySettings


def check_header(connection: HTTPConnection, settings: GatewaySettings) -> None:
    """Raise :class:`NotAuthorised` unless the ``Authorization`` header has the token that is asked for."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    check_token(token.strip() if scheme.lower() == "bearer" else None, settings)


def check_token(token: object, settings: GatewaySettings) -> None:
    """Raise :class:`NotAuthorised` unless ``token`` is the one that is asked for, if any is."""
    if settings.token is None:
        return
    wanted = settings.token.get_secret_value().encode()
    # compare_digest: how long it takes does not tell how much was right.
    if not (isinstance(token, str) and hmac.compare_digest(token.encode(), wanted)):
        said = "wrong" if token else "missing"
        raise NotAuthorised(f"the bearer token is {said}; accepted: the one that this gateway was given")


def check_origin(connection: HTTPConnection, settings: GatewaySettings) -> None:
    """Raise :class:`OriginNotAllowed` if a page of another origin opens a WebSocket, which CORS does not prevent."""
    origin = connection.headers.get("origin")
    if origin is None or "*" in settings.cors_origins or origin in settings.cors_origins:
        return
    if urlsplit(origin).netloc != connection.headers.get("host"):
        raise OriginNotAllowed(f"pages of {origin} may not ask; accepted: this gateway's own, and those it was told of")
