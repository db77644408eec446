"""Under which names a server may be asked.

Rule that this module guards: **a web page cannot make this server its own.** A page whose name is made to mean this
machine (DNS rebinding) is of the same origin as what it asks, and may read the answers; but it asks under its own name.
So names are allowed one by one. Addresses are always allowed: a page's name is never one.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from typing import Any

from emotalk_gateway.service.errors import HostNotAllowed, problem_of

_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(?::\d*)?")


class KnownHosts:
    """Names of this machine, its loopback, and ``more`` (``*.example.org``: all below it; ``*``: any)."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", *(name.lower().rstrip(".") for name in more)}

    def allows(self, host: str) -> bool:
        """Return True where ``host``, the value of a header, may be asked under."""
        found = _HOST.fullmatch(host.strip())
        if found is None:
            return False
        name = found["name"].lower().rstrip(".")
        if "*" in self._names or name in self._names or name.endswith(".localhost") or _is_address(name):
            return True
        return any(known.startswith("*.") and name.endswith(known[1:]) for known in self._names)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


class HostCheck:
    """ASGI middleware: requests and WebSockets under names that ``known`` allows; others are told so.

    A request without a name (HTTP/1.0) comes from no browser.
    """

    def __init__(self, app: Any, known: KnownHosts, told: Any = lambda _: None) -> None:
        self._app = app
        self._known = known
        self._told = told

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass it on, or refuse it."""
        if scope["type"] in ("http", "websocket"):
            for name, value in scope["headers"]:
                if name == b"host" and not self._known.allows(host := value.decode("latin-1")):
                    await self._refuse(scope, send, host)
                    return
        await self._app(scope, receive, send)

    async def _refuse(self, scope: Any, send: Any, host: str) -> None:
        problem = problem_of(
            HostNotAllowed(
                f"the host is {host!r}; accepted: addresses, localhost, this machine's name, and the allowed_hosts "
                "of this gateway"
            )
        )
        self._told(problem)
        body = json.dumps(problem.http_body()).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        await send({"type": f"{kind}.start", "status": int(problem.status), "headers": headers})
        await send({"type": f"{kind}.body", "body": body})
