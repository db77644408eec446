"""A request, tried until it has an answer or a dead letter.

Rule that this module guards: **every request ends in exactly one of the two, and what may pass is never the end.** The
table of :mod:`emotalk_gateway.service.errors` says which errors are the sender's: those are dead letters at once. What
may pass is tried for ever, later and later. What should not be is tried a few times.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from emotalk_client.errors import DeadlineExceeded, ModelUnavailable, ServerBusy, ServerUnavailable
from emotalk_client.threads import in_thread
from emotalk_gateway.kafka import records
from emotalk_gateway.kafka.metrics import Metrics
from emotalk_gateway.kafka.records import Answer, Place
from emotalk_gateway.kafka.references import ReferenceUnavailable
from emotalk_gateway.kafka.requests import check_size, face_request
from emotalk_gateway.kafka.settings import WorkerSettings
from emotalk_gateway.kafka.writing import WriteFailed, Writer
from emotalk_gateway.service.errors import REFUSED, GatewayFull, problem_of
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.service import Service

logger = logging.getLogger(__name__)

PASSING = (
    ServerBusy,
    ServerUnavailable,
    ModelUnavailable,
    DeadlineExceeded,
    GatewayFull,
    ReferenceUnavailable,
    WriteFailed,
)
"""Errors that may be gone later."""
FIRST_S, LONGEST_S = 0.2, 15.0
"""Pauses between tries: each twice the one before, times 0.5..1 drawn anew."""
MISTAKES = 3
"""Tries of what should not be."""
INTERNAL = "InternalError"


@dataclass(slots=True, eq=False)
class Work:
    """A request that was taken."""

    place: Place
    key: bytes | None
    headers: list[tuple[str, Any]]
    value: bytes
    size: int
    """Bytes of its value, which is not kept where it is too large."""
    lane: object = None
    attempts: int = field(default=0)


class Trier:
    """Tries requests on ``service``.

    Args:
        writer: makes one for a request; called once a try.
    """

    def __init__(
        self, service: Service, settings: WorkerSettings, metrics: Metrics, writer: Callable[[Work], Writer]
    ) -> None:
        self._service = service
        self._settings = settings
        self._metrics = metrics
        self._writer = writer

    async def end(self, work: Work) -> None:
        """Return when ``work`` has an answer or a dead letter that is safe."""
        mistakes = 0
        while True:
            work.attempts += 1
            writer = self._writer(work)
            try:
                await self._answer(work, writer)
            except PASSING as error:
                await writer.forget()
                self._metrics.tried_again(error)
                logger.info("%s is tried again: %s: %s", work.place, type(error).__name__, error)
                await asyncio.sleep(_pause(work.attempts))
            except Exception as error:  # whatever it is, the next request must not wait for it
                await writer.forget()
                problem = problem_of(error)
                refused = problem.codes.kafka == REFUSED
                mistakes += not refused
                if not refused and mistakes < MISTAKES:
                    logger.warning("%s is tried again", work.place, exc_info=error)
                    self._metrics.tried_again(error)
                    await asyncio.sleep(_pause(mistakes))
                    continue
                if not refused:
                    logger.exception("%s dies of a mistake of ours", work.place)
                await self._die(work, problem.error if refused else INTERNAL, problem.message)
                return
            else:
                return

    async def _answer(self, work: Work, writer: Writer) -> None:
        settings = self._settings
        check_size(work.size, settings.limits)
        asked = records.asked(work.headers, work.place)
        request = await in_thread(face_request, work.value, asked, settings.limits)
        answer = Answer(asked, uuid.uuid4().hex[:16], settings.max_record_bytes)
        async with aclosing(faces(self._service, request)) as computed:
            async for face in computed:
                for value, headers in answer.blocks(face.weights, face.fps):
                    await writer.write((settings.results, value, headers))
        value, headers = answer.end()
        await writer.write((settings.results, value, headers))
        await writer.finish(work.place)
        self._metrics.answered(answer.frames / (request.fps or 1))

    async def _die(self, work: Work, error_class: str, words: str) -> None:
        """Write a dead letter, however long that takes."""
        asked_before = _attempts_before(work)
        kept = work.size == len(work.value) and work.size + records.OVERHEAD <= self._settings.max_record_bytes
        headers = records.dead_letter(
            work.headers, work.size, work.place, error_class, words, asked_before + work.attempts, kept
        )
        tries = 0
        while True:
            writer = self._writer(work)
            try:
                await writer.write((self._settings.dead, work.value if kept else None, headers))
                await writer.finish(work.place)
            except WriteFailed as error:
                tries += 1
                self._metrics.tried_again(error)
                await asyncio.sleep(_pause(tries))
            else:
                self._metrics.died(error_class)
                return


def _attempts_before(work: Work) -> int:
    given = records.text_of(work.headers).get("attempts", b"")
    return int(given) if given.isdigit() and len(given) < 10 else 0


def _pause(tries: int) -> float:
    return min(LONGEST_S, FIRST_S * 2.0 ** min(tries, 20)) * random.uniform(0.5, 1)  # noqa: S311  # no secret
