"""The address of a live output: ``HOST[:PORT]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emotalk_client.errors import InvalidAddress
from emotalk_contract.quoting import quoted

MAX_PORT = 65_535

# A name or an IPv4 address, or an IPv6 address in brackets; then a port.
_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[\w.-]+))(?::(?P<port>\d{1,9}))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a UDP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, default_port: int) -> Address:
        """Return the address in ``text``: ``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``.

        Raises:
            InvalidAddress: it is none of these, or the port is not in 1..65535.
        """
        found = _ADDRESS.fullmatch(text.strip())
        port = default_port if found is None or found["port"] is None else int(found["port"])
        if found is None or not 1 <= port <= MAX_PORT:
            raise InvalidAddress(
                f"the address is {quoted(text)}; accepted: HOST or HOST:PORT, such as 192.168.0.7:{default_port} "
                f"or [::1]:{default_port}, with a port in 1..{MAX_PORT}"
            )
        return cls(found["six"] or found["host"], port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
