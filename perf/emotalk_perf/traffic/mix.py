"""Every kind of honest caller of one service, with the right answers, taken while nobody else asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotalk_client import AsyncEmoTalkClient, InvalidRequest, ServerError
from emotalk_perf.attacked.answers import Known
from emotalk_perf.attacked.service import Service
from emotalk_perf.clips import excerpt
from emotalk_perf.traffic import conversations, requests
from emotalk_perf.traffic.arrivals import Ask

STREAMS, FILES, UPLOADS, TEXTS = "streams", "files", "uploads", "texts"
KINDS = (STREAMS, FILES, UPLOADS, TEXTS)
LENGTHS_S = (3.0, 20.0)
"""Seconds of the clips that are uploaded, and animated by the thin client."""
AT_ONCE = 64
"""Uploads of this process on their way, at most; the others wait, and their wait counts."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Callers of one service."""

    asks: Mapping[str, Ask]
    """Requests, by their kind and what sets them apart: ``uploads, 3 s``."""
    spoken: Known
    """A live stream's utterance."""

    def of(self, kind: str) -> list[str]:
        """Return the names of the requests of one of :data:`KINDS`."""
        return [name for name in self.asks if name.partition(",")[0] == kind]


@asynccontextmanager
async def mix(service: Service, clip: NDArray[np.float32]) -> AsyncIterator[Mix]:
    """Yield the callers of ``service`` that speak ``clip`` [samples, 16 kHz]; texts where it has a voice."""
    async with AsyncExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        client = await stack.enter_async_context(AsyncEmoTalkClient(service.url))
        clips = [await requests.known(client, excerpt(clip, seconds)) for seconds in LENGTHS_S]
        asks: dict[str, Ask] = {}
        for seconds, known in zip(LENGTHS_S, clips, strict=True):
            asks[f"{FILES}, {seconds:g} s"] = requests.files(client, known)
            asks[f"{UPLOADS}, {seconds:g} s"] = requests.uploads(service.gateway, known, pool)
        with suppress(InvalidRequest, ServerError):  # it has no voice
            asks[TEXTS] = await requests.texts(client)
        yield Mix(asks, await conversations.known(service.gateway, clip))
