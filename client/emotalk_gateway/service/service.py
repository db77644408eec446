"""The client behind all doors, how many are served, and how it goes."""

from __future__ import annotations

import asyncio
import logging

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_gateway.service.access import Access
from emotalk_gateway.service.auditing import entry
from emotalk_gateway.service.avatars import Avatars
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.errors import Problem, problem_of
from emotalk_gateway.service.metrics import Metrics
from emotalk_gateway.service.neural_videos import NeuralVideos
from emotalk_gateway.service.rate import HeldRate
from emotalk_gateway.service.settings import GatewaySettings
from emotalk_gateway.service.spool import Budget
from emotalk_gateway.service.videos import Videos

READERS = 2
"""Bodies that are read at once."""

logger = logging.getLogger(__name__)


class Service:
    """One gateway.

    Args:
        client: used and, at the end, closed by the gateway.

    Raises:
        InvalidSettings: the file of tokens cannot be used.
    """

    def __init__(self, settings: GatewaySettings, client: AsyncEmoTalkClient) -> None:
        self.settings = settings
        self.client = client
        self.uploads = Capacity("uploads", settings.max_requests, settings.max_computing)
        self.streams = Capacity("streams", settings.max_streams)
        self.bodies = Budget(settings.max_body_memory_bytes, settings.max_body_bytes)
        self.reading = asyncio.Semaphore(READERS)
        """To be held while a body is read: decoded or parsed, which keeps Python busy."""
        self.writing = asyncio.Semaphore(1)
        """To be held while another process writes a file."""
        self.rate = HeldRate()
        self.stopping = asyncio.Event()
        """Set once: nothing new is begun, and what goes on is ended."""
        self.metrics = Metrics(self.uploads, self.streams, self.rate)
        self.access = Access(settings, self.metrics)
        """Callers and their limits."""
        self.avatars = Avatars(settings, client, named=self.access.named)
        self.videos = Videos(settings, self.avatars)
        self.neural_videos = NeuralVideos(self.videos, self.avatars, client)
        self.metrics.follow("tokens", lambda: self.access.stale)

    def told(self, problem: Problem) -> None:
        """Count ``problem``, which somebody was told."""
        self.metrics.rejected(problem.error)
        entry().error = problem.error

    def frames(self, route: str, count: int) -> None:
        """Count ``count`` frames, which were handed out."""
        self.metrics.frames(route, count)
        entry().frames += count

    def problem(self, error: BaseException) -> Problem:
        """Return what a caller is told of ``error``; counted, and logged where the caller is not told all of it."""
        problem = problem_of(error)
        self.told(problem)
        if problem.internal:
            logger.error("%s", problem.error, exc_info=error)
        elif problem.message != str(error):
            logger.warning("%s: %s", type(error).__name__, error)
        return problem
