"""Runs a real Triton with the ensemble: :class:`EmbeddedServer`, and ``emotalk-server`` in ``cli``."""

from emotalk_server.embedded import EmbeddedServer
from emotalk_server.errors import ServerStartError

__all__ = ["EmbeddedServer", "ServerStartError"]
