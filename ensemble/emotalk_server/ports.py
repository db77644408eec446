"""Addresses and ports of a server."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from emotalk_server.errors import InvalidAddress, PortInUse

HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002
HEALTH_PORT = 8003
LOOPBACK = "127.0.0.1"
MAX_PORT = 2**16 - 1
_ANY = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  # compared, not bound


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on which Triton listens."""

    http: int = HTTP_PORT
    grpc: int = GRPC_PORT
    metrics: int = METRICS_PORT


def free_ports(address: str = LOOPBACK) -> Ports:
    """Return three ports that nobody listens on at this moment.

    Raises:
        InvalidAddress: nobody can listen on ``address``.
    """
    sockets = [socket.socket(_family(address)) for _ in range(3)]
    try:
        for each in sockets:
            each.bind((address, 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    except OSError as error:
        raise _foreign(address, error) from error
    finally:
        for each in sockets:
            each.close()


def check_ports(ports: Ports, address: str) -> None:
    """Raise unless Triton can listen on every port.

    Raises:
        InvalidAddress: nobody can listen on ``address``, or a number is not a port's.
        PortInUse: somebody else does.
    """
    given = {"http": ports.http, "grpc": ports.grpc, "metrics": ports.metrics}
    for name, port in given.items():
        check_port(name, port, address)
    if len(set(given.values())) < len(given):
        raise InvalidAddress(f"the ports {', '.join(map(str, given.values()))} are not different from each other")


def check_port(name: str, port: int, address: str) -> None:
    """Raise as :func:`check_ports` does; the option for this one is ``--NAME-port``."""
    if not 1 <= port <= MAX_PORT:
        raise InvalidAddress(f"--{name}-port {port} is not a port; accepted: 1..{MAX_PORT}")
    with socket.socket(_family(address)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise PortInUse(
                    f"the {name} port {url_host(address)}:{port} cannot be used ({error.strerror}); "
                    f"choose another with --{name}-port"
                ) from error
            raise _foreign(address, error) from error


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach ``address``."""
    return ipaddress.ip_address(address).is_loopback


def url_host(address: str) -> str:
    """Return ``address`` as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def reachable(address: str) -> str:
    """Return where, in a URL, a server that listens on ``address`` can be reached."""
    return url_host(_ANY.get(address, address))


def _family(address: str) -> socket.AddressFamily:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError as error:
        raise InvalidAddress(
            f"--address {address[:80]!r} is not an IP address; accepted: {LOOPBACK} (only this machine), "
            "0.0.0.0 or :: (everybody), or another address of this machine"
        ) from error
    return socket.AF_INET6 if version == 6 else socket.AF_INET


def _foreign(address: str, error: OSError) -> InvalidAddress:
    return InvalidAddress(
        f"--address {address} cannot be listened on ({error.strerror}); accepted: addresses of this machine"
    )
