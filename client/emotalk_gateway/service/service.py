"""The client behind all doors, how many are served, and how it goes."""

from __future__ import annotations

import asyncio
import logging

from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_gateway.service.capacity import Capacity
from emotalk_gateway.service.errors import Problem, problem_of
from emotalk_gateway.service.metrics import Metrics
from emotalk_gateway.service.rate import HeldRate
from emotalk_gateway.service.settings import GatewaySettings

logger = logging.getLogger(__name__)


class Service:
    """One gateway.

    Args:
        client: used and, at the end, closed by the gateway.
    """

    def __init__(self, settings: GatewaySettings, client: AsyncEmoTalkClient) -> None:
        self.settings = settings
        self.client = client
        self.uploads = Capacity("uploads", settings.max_requests, settings.max_computing)
        self.streams = Capacity("streams", settings.max_streams)
        self.rate = HeldRate()
        self.stopping = asyncio.Event()
        """Set once: nothing new is begun, and what goes on is ended."""
        self.metrics = Metrics(self.uploads, self.streams, self.rate)

    def problem(self, error: BaseException) -> Problem:
        """Return what a caller is told of ``error``; counted, and logged where the caller is not told all of it."""
        problem = problem_of(error)
        self.metrics.rejected(problem.error)
        if problem.internal:
            logger.error("%s", problem.error, exc_info=error)
        elif problem.message != str(error):
            logger.warning("%s: %s", type(error).__name__, error)
        return problem
