"""From a request to the face that speaks it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from emotalk_client.windows.detected import ClipEmotions
from emotalk_gateway.service.request import Face, FaceRequest
from emotalk_gateway.service.retiming import Retimer
from emotalk_gateway.service.service import Service

PATIENCE_S = 0.2
"""Seconds that a caller may take to read a block before others run in its stead."""
SHARE_S = 0.5
"""Seconds after which one that runs lets those who wait run first: a word need not wait for eight long clips."""


async def faces(service: Service, request: FaceRequest) -> AsyncGenerator[Face, None]:
    """Yield the face that ``request`` asks for, in order, as windows finish.

    Raises:
        AudioError, InvalidRequest, ServerError: as ``stream`` of the client.
    """
    began = time.monotonic()
    async with service.uploads.run() as running:
        retimer = Retimer(service.rate.fps if request.fps is None else request.fps)
        heard = ClipEmotions()
        waited_s, came, given = time.monotonic() - began, 0, 0
        async with aclosing(service.client.stream_blocks(request.sound, **request.options)) as computed:
            while True:
                asked = time.monotonic()
                block = await anext(computed, None)
                waited_s += time.monotonic() - asked  # without the time that the caller takes to read
                if block is not None:
                    came += len(block)
                    heard.push(block.emotions, len(block))
                face = retimer.flush() if block is None else retimer.push(block.weights)
                if face is not None and len(face):
                    if not given:
                        service.metrics.first_frame(time.monotonic() - began)
                    given += len(face)
                    service.frames(request.route, len(face))
                    async with running.paused_after(PATIENCE_S):
                        yield replace(face, emotions=heard.value)
                    await running.share(SHARE_S)
                if block is None:
                    break
        service.rate.heard(came, waited_s)
