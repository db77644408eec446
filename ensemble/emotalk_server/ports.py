"""The three ports of a server."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from emotalk_server.errors import PortInUse

HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens."""

    http: int = HTTP_PORT
    grpc: int = GRPC_PORT
    metrics: int = METRICS_PORT


def free_ports(address: str = LOOPBACK) -> Ports:
    """Three ports that nobody listens on at this moment."""
    sockets = [socket.socket(_family(address)) for _ in range(3)]
    try:
        for each in sockets:
            each.bind((address, 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()


def check_ports(ports: Ports, address: str) -> None:
    """Raise :class:`PortInUse` for the first port that is taken."""
    for name, port in (("http", ports.http), ("grpc", ports.grpc), ("metrics", ports.metrics)):
        with socket.socket(_family(address)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise PortInUse(
                    f"the {name} port {address}:{port} cannot be used ({error.strerror}); "
                    f"choose another with --{name}-port"
                ) from error


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
