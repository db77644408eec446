"""Warnings about a clip, each logged once: it may be read several times."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class Notices:
    """Logs each warning once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def warn(self, message: str) -> None:
        """Log ``message``, unless it was logged before."""
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s", message)
