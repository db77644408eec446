"""A door beside the gateway's own routes: another protocol on a port of its own, in the same process."""

from __future__ import annotations

from typing import Protocol

CLOSE_S = 3.0
"""Seconds in which a door is closed; less than the five that people wait."""


class Door(Protocol):
    """Opened when the gateway serves, closed when it stops."""

    async def open(self) -> str:
        """Begin to serve, on the running loop; return what people are told of it, such as ``a2f 127.0.0.1:52000``.

        Raises:
            CannotListen: the address cannot be listened on.
        """

    async def close(self) -> None:
        """Say goodbye to whoever is being served, and return within :data:`CLOSE_S`.

        Called once the service is stopping; also where :meth:`open` failed, or was never called.
        """
