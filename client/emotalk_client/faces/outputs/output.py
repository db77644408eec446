"""The protocol of live outputs, and the UDP socket under those there are."""

from __future__ import annotations

import socket
from typing import Protocol

from emotalk_client.errors import InvalidAddress, OutputFailed
from emotalk_client.faces.animation import Frame
from emotalk_client.faces.outputs.address import Address
from emotalk_contract.quoting import quoted


class Output(Protocol):
    """Somewhere to send faces."""

    def send(self, frame: Frame) -> None:
        """Send one face, now."""

    def close(self) -> None:
        """Let go of what is held; does nothing the second time."""


class UdpSender:
    """Datagrams to one address. Nobody has to listen there; that is UDP's way."""

    def __init__(self, address: Address) -> None:
        """Look the host up.

        Raises:
            InvalidAddress: the host cannot be found.
        """
        self._address = address
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            raise InvalidAddress(
                f"the host {quoted(address.host)} cannot be found; accepted: a name or an IP address"
            ) from error
        family, self._target = found[0], found[4]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def send(self, data: bytes) -> None:
        """Send ``data`` as one datagram.

        Raises:
            OutputFailed: this machine cannot send there, or the sender was closed.
        """
        try:
            self._socket.sendto(data, self._target)
        except OSError as error:
            raise OutputFailed(f"cannot send to {self._address}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
