"""Access over HTTP: the bearer token of a header, and for browsers the origin of the page."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from emotalk_gateway.service.callers import Caller, Scope
from emotalk_gateway.service.errors import OriginNotAllowed
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.settings import GatewaySettings

_PORTS = {"http": 80, "https": 443}
_LONGEST_ECHO = 200
"""Characters of a caller's value that an error repeats."""


def check_header(connection: HTTPConnection, service: Service, scope: Scope) -> Caller:
    """Return who asks, by the ``Authorization`` header; ``scope`` is what a caller must be allowed to.

    Raises:
        NotAuthorised, NotPermitted, TooManyRequests: as :meth:`~emotalk_gateway.service.access.Access.caller`.
    """
    return service.access.caller(bearer(connection.headers.get("authorization", "")), scope)


def bearer(header: str) -> str | None:
    """Return the token of an ``Authorization`` header (RFC 6750); None: it has none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def check_origin(connection: HTTPConnection, settings: GatewaySettings) -> None:
    """Raise :class:`OriginNotAllowed` if a page of another origin opens a WebSocket, which CORS does not prevent.

    An origin is a scheme, a host and a port (RFC 6454); one that cannot be read, ``null`` among them, is another.
    """
    said = connection.headers.get("origin")
    if said is None or "*" in settings.cors_origins or said in settings.cors_origins:
        return
    scheme = {"ws": "http", "wss": "https"}.get(connection.scope["scheme"], connection.scope["scheme"])
    own = origin(f"{scheme}://{connection.headers.get('host', '')}")
    theirs = origin(said)
    if theirs is None or theirs not in (own, *map(origin, settings.cors_origins)):
        raise OriginNotAllowed(
            f"pages of {said[:_LONGEST_ECHO]} may not ask; accepted: this gateway's own, and those it was told of"
        )


def origin(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of the origin ``text``; None if it is not one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # a broken address or port
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port
