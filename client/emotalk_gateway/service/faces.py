"""From an upload to blocks of frames."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO

from starlette.requests import Request

from emotalk_client.faces.animation import Animation
from emotalk_client.settings import AnimateOptions
from emotalk_gateway.http.auth import check_header
from emotalk_gateway.http.uploads import Upload, upload
from emotalk_gateway.service.retiming import Retimer
from emotalk_gateway.service.service import Service


@asynccontextmanager
async def received(service: Service, request: Request, part: str) -> AsyncIterator[Upload]:
    """The upload in ``part`` of the form, let in, taken in and not too long, for as long as the block lasts.

    Raises:
        NotAuthorised, GatewayFull, InvalidUpload, UploadTooLarge, ClipTooLong, AudioError: it is not.
    """
    check_header(request, service.settings)
    with service.uploads.place():
        async with upload(request, part, service.settings.max_upload_bytes, service.settings.max_audio_s) as taken:
            yield taken


async def blocks(
    service: Service, route: str, audio: BinaryIO, fps: int | None, options: AnimateOptions
) -> AsyncGenerator[Animation, None]:
    """The face that speaks ``audio``, in order, as windows finish, at ``fps`` frames a second.

    Args:
        route: for the metrics.
        fps: whole; None: what the server holds.

    Raises:
        AudioError, InvalidRequest, ServerError: as ``stream`` of the client.
    """
    began = time.monotonic()
    async with service.uploads.turn():
        retimer = Retimer(service.rate.fps if fps is None else fps)
        waited_s, came, given = time.monotonic() - began, 0, 0
        async with aclosing(service.client.stream_blocks(audio, **options)) as computed:
            while True:
                asked = time.monotonic()
                block = await anext(computed, None)
                waited_s += time.monotonic() - asked  # without the time that the caller takes to read
                came += len(block) if block is not None else 0
                retimed = retimer.flush() if block is None else retimer.push(block)
                if retimed is not None and len(retimed):
                    if not given:
                        service.metrics.first_frame(time.monotonic() - began)
                    given += len(retimed)
                    service.metrics.frames(route, len(retimed))
                    yield retimed
                if block is None:
                    break
        service.rate.heard(came, waited_s)
