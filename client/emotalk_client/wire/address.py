"""``host:port`` of Triton's gRPC endpoint, and the proxy that may stand before it.

Rule that this module guards: **loopback is never asked for through a proxy.** gRPC honours ``grpc_proxy``,
``https_proxy`` and ``http_proxy``, in this order and in lower case only, and knows no exception for loopback.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from emotalk_client.errors import InvalidAddress
from emotalk_contract.quoting import quoted

MAX_PORT = 65_535
PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The environment variables that gRPC looks at; the first that is set counts."""
NO_PROXY_VARIABLES = ("no_grpc_proxy", "no_proxy")
"""Likewise, for the hosts that are asked directly."""

_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^\s/:\[\]]+)):(?P<port>\d{1,9})", re.ASCII
)
_LOOPBACK_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}


@dataclass(frozen=True, slots=True)
class Target:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Target:
        """Return the target that ``url`` names.

        Raises:
            InvalidAddress: it is not ``host:port``.
        """
        found = _ADDRESS.fullmatch(url) if isinstance(url, str) else None
        if found is None:
            raise InvalidAddress(f"the URL is {quoted(url)}{_hint(url)}; accepted: {_ACCEPTED}")
        port = int(found["port"])
        if not 1 <= port <= MAX_PORT:
            raise InvalidAddress(f"the URL is {quoted(url)}; accepted: {_ACCEPTED}, with a port in 1..{MAX_PORT}")
        return cls(found["six"] or found["host"], port)

    @property
    def is_loopback(self) -> bool:
        """True for this machine itself, by name or by number."""
        name = self.host.lower().rstrip(".")
        if name in _LOOPBACK_NAMES or name.endswith(".localhost") or re.fullmatch(r"127(\.\d+){1,3}", name):
            return True
        try:
            address = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return address.is_loopback or address.is_unspecified  # what is bound to all addresses is reached by loopback


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment puts between us and a server."""

    variable: str
    address: str
    """Without a user's name and password."""


def check_address(url: str) -> str:
    """Return ``url``, if it is one that gRPC can be asked for.

    Raises:
        InvalidAddress: it is not ``host:port``.
    """
    Target.parse(url)
    return url


def proxy_before(target: Target) -> Proxy | None:
    """Return the proxy through which gRPC asks for ``target``, or None."""
    if target.is_loopback:
        return None
    variable = next((name for name in PROXY_VARIABLES if os.environ.get(name)), None)
    if variable is None or _is_excepted(target.host):
        return None
    parts = urlsplit(os.environ[variable])
    return Proxy(variable, parts.netloc.rpartition("@")[2] or parts.path)


def _is_excepted(host: str) -> bool:
    listed = next((os.environ[name] for name in NO_PROXY_VARIABLES if os.environ.get(name)), "")
    for entry in (part.strip() for part in listed.split(",")):
        if entry and (host.lower().endswith(entry.lower()) or _is_within(host, entry)):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


_ACCEPTED = "host:port of Triton's gRPC endpoint, such as localhost:8001, without http://"


def _hint(url: object) -> str:
    """Return what to write instead, where that is clear."""
    if not isinstance(url, str):
        return ""
    try:
        six = ipaddress.IPv6Address(url.strip("[]"))
    except ValueError:
        return ""
    return f", an IPv6 address without a port (with one: [{six}]:8001)"
