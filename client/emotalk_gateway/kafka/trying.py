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
from dataclasses import dataclass, field, replace
from typing import Any

from emotalk_client.threads import in_thread
from emotalk_gateway.kafka import records
from emotalk_gateway.kafka.metrics import Metrics
from emotalk_gateway.kafka.records import Answer, Kept, Place
from emotalk_gateway.kafka.requests import check_size, face_request
from emotalk_gateway.kafka.settings import WorkerSettings
from emotalk_gateway.kafka.tracing import work_span
from emotalk_gateway.kafka.writing import RecordTooLarge, WriteFailed, Writer
from emotalk_gateway.service.auditing import begun
from emotalk_gateway.service.errors import DEAD_LETTER, TRY_AGAIN_LATER, problem_of
from emotalk_gateway.service.faces import faces
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.tracing import Span

logger = logging.getLogger(__name__)

FIRST_S, LONGEST_S = 0.2, 15.0
"""Pauses between tries: each twice the one before, times 0.5..1 drawn anew."""
MISTAKES = 3
"""Tries of what should not be."""
INTERNAL = "InternalError"
SMALLEST_RECORD = 20_000
"""Bytes below which answers are not cut, whatever the broker says."""


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
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._record_bytes = settings.max_record_bytes
        self._random = random.Random()  # noqa: S311  # no secret
        self.trying: set[Work] = set()
        """Requests that are computed now; others wait for their turn, or for what they need to come back."""

    async def end(self, work: Work) -> None:
        """Return when ``work`` has an answer or a dead letter that is safe."""
        place = work.place
        with (
            work_span(place, work.headers) as going,
            begun("kafka", f"{place.topic}:{place.partition}:{place.offset}") as noted,
        ):
            noted.asked, noted.operation, noted.bytes_in = True, place.topic, work.size
            noted.error = await self._end(work, going)
            noted.outcome = "answered" if noted.error is None else DEAD_LETTER

    async def _end(self, work: Work, going: Span) -> str | None:
        """Return the class of the error that a dead letter has; None: there is an answer."""
        mistakes = 0
        while True:
            work.attempts += 1
            writer = self._writer(work)
            try:
                async with self._slots:
                    self.trying.add(work)
                    try:
                        await self._answer(work, writer)
                    finally:
                        self.trying.discard(work)
            except RecordTooLarge as error:
                await writer.forget()
                self._cut_smaller(error)
                await self._later(work, error, work.attempts)
            except Exception as error:  # whatever it is, the next request must not wait for it
                await writer.forget()
                problem = problem_of(error)
                fate = problem.codes.kafka
                mistakes += fate not in (DEAD_LETTER, TRY_AGAIN_LATER)
                if fate == TRY_AGAIN_LATER or (0 < mistakes < MISTAKES and fate != DEAD_LETTER):
                    await self._later(work, error, work.attempts)
                    continue
                if fate != DEAD_LETTER:
                    logger.exception("%s dies of a mistake of ours", work.place)
                error_class = problem.error if fate == DEAD_LETTER else INTERNAL
                going.failed(error_class)
                await self._die(work, error_class, problem.message)
                return error_class
            else:
                return None

    async def _later(self, work: Work, error: Exception, tries: int) -> None:
        """Pause before the next try; others run meanwhile."""
        self._metrics.tried_again(error)
        logger.warning("%s is tried again: %s: %s", work.place, type(error).__name__, error)
        await asyncio.sleep(self._pause(tries))

    def _cut_smaller(self, error: RecordTooLarge) -> None:
        """The broker takes less than it was thought to."""
        self._record_bytes = max(SMALLEST_RECORD, self._record_bytes // 2)
        logger.warning("answers are cut to %d bytes from now on: %s", self._record_bytes, error)

    async def _answer(self, work: Work, writer: Writer) -> None:
        settings = self._settings
        check_size(work.size, settings.limits)
        records.check_beside(work.key, work.headers)
        asked = records.asked(work.headers, work.place)
        request = await in_thread(face_request, work.value, asked, settings.limits)
        answer = Answer(asked, uuid.uuid4().hex[:16], self._record_bytes, len(work.key or b""))
        async with aclosing(faces(self._service, request)) as computed:
            async for face in computed:
                answer.emotions = face.emotions
                for value, headers in answer.blocks(face.weights, face.fps):
                    await writer.write((settings.results, value, headers))
        value, headers = answer.end()
        await writer.write((settings.results, value, headers))
        await writer.finish(work.place)
        self._metrics.answered(answer.seconds)

    async def _die(self, work: Work, error_class: str, words: str) -> None:
        """Write a dead letter, however long that takes."""
        attempts = _attempts_before(work) + work.attempts
        size = work.size + records.beside(work.key, work.headers) + records.OVERHEAD
        whole = work.size == len(work.value) and size <= self._record_bytes
        kept = Kept.ALL if whole else Kept.NO_VALUE
        tries = 0
        while True:
            headers = records.dead_letter(work.headers, work.size, work.place, error_class, words, attempts, kept)
            writer = self._writer(work if kept != Kept.NAME else replace(work, key=None))
            try:
                await writer.write((self._settings.dead, work.value if kept == Kept.ALL else None, headers))
                await writer.finish(work.place)
            except WriteFailed as error:
                tries += 1
                if isinstance(error, RecordTooLarge):
                    kept = Kept(min(kept + 1, Kept.NAME))
                await writer.forget()
                await self._later(work, error, tries)
            else:
                logger.warning("%s is dead: %s: %s", work.place, error_class, words)
                self._metrics.died(error_class)
                return

    def _pause(self, tries: int) -> float:
        return min(LONGEST_S, FIRST_S * 2.0 ** min(tries, 20)) * self._random.uniform(0.5, 1)


def _attempts_before(work: Work) -> int:
    given = records.text_of(work.headers).get("attempts", b"")
    return int(given) if given.isdigit() and len(given) < 10 else 0
