"""Listens on a port, for whichever door answers there."""

from __future__ import annotations

import errno
import socket

from emotalk_gateway.service.errors import AddressInUse, CannotListen


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """Return a socket that listens on ``host`` and ``port`` (0: any that is free), which ``option`` gave.

    Raises:
        AddressInUse: somebody else does.
        CannotListen: there is no such address here, or it is not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"port {port} of {host} is in use; accepted: a free one ({option})") from error
        reason = error.strerror or error
        raise CannotListen(
            f"cannot listen on port {port} of {host}: {reason}; accepted: an address of this machine"
        ) from error
    except OverflowError as error:
        raise CannotListen(f"the port is {port}; accepted: 0..65535") from error
    # Inherited by what is accepted, which asyncio does not set it for; an answer in two parts else waits for 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def base_url(listening: socket.socket, *, tls: bool = False) -> str:
    """Return ``http://host:port`` (``https`` with ``tls``), as a browser of this machine takes it."""
    host, port = listening.getsockname()[:2]
    return f"http{'s' if tls else ''}://" + (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
