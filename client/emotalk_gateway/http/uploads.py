"""An upload, taken in within its limits.

Rule that this module guards: **nothing is decoded that is not allowed.** Too long a clip is refused by its header.
Bodies, whose size :mod:`~emotalk_gateway.http.lifetime` watches, lie in memory or, from a megabyte on, in a file
without a name.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from starlette.datastructures import UploadFile
from starlette.requests import Request

from emotalk_client.audio.loading import blocks, expected_samples
from emotalk_client.threads import in_thread
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_gateway.http.auth import check_header
from emotalk_gateway.service.errors import ClipTooLong, InvalidUpload
from emotalk_gateway.service.service import Service

MAX_FIELDS = 32
SNIFFED = 64
"""Bytes that tell text from audio: every audio file has bytes that are no text in its first ones."""
_BASE64 = re.compile(rb"(?:data:[^,]{0,100};base64,)?[A-Za-z0-9+/=\s]*")


@dataclass(frozen=True, slots=True)
class Upload:
    """A form with a file in it."""

    audio: BinaryIO
    """Seekable; its name says nothing of the caller's or the gateway's."""
    fields: dict[str, str]


@asynccontextmanager
async def received(service: Service, request: Request, part: str) -> AsyncIterator[Upload]:
    """The upload in ``part`` of the form, admitted, taken in and not too long, for as long as the block lasts.

    Raises:
        NotAuthorised, GatewayFull, InvalidUpload, UploadTooLarge, ClipTooLong, AudioError: it is not.
    """
    check_header(request, service.settings)
    with service.uploads.admit():
        async with upload(request, part, service.settings.max_upload_bytes, service.settings.max_audio_s) as taken:
            yield taken


@asynccontextmanager
async def upload(request: Request, part: str, max_bytes: int, max_s: float) -> AsyncIterator[Upload]:
    """The form of ``request`` with its file in ``part``, which is let go of at the end of the block.

    Args:
        max_bytes: of one part.
        max_s: seconds of the clip.

    Raises:
        InvalidUpload: the body is no such form.
        ClipTooLong, UnreadableAudio, TruncatedAudio: as :func:`check_duration`.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise InvalidUpload(f"the content type is {kind!r}; accepted: multipart/form-data with a file in {part!r}")
    async with request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=max_bytes) as form:
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        content = form.get(part)
        if content is None:
            given = ", ".join(sorted(form.keys())) or "none"
            raise InvalidUpload(f"the form has no part {part!r}; it has {given}; accepted: an audio file in {part!r}")
        fields.pop(part, None)
        # base64 is often sent as a field
        file = content.file if isinstance(content, UploadFile) else io.BytesIO(content.encode())
        yield Upload(await in_thread(as_audio, file, max_s), fields)


def form_schema(part: str, options: Mapping[str, str]) -> dict[str, Any]:
    """The form in OpenAPI's words: a file in ``part``, and ``options`` with what they mean."""
    properties: dict[str, Any] = {
        part: {"type": "string", "format": "binary", "description": "wav, flac, mp3, ogg, opus"}
    }
    properties |= {name: {"type": "string", "description": text} for name, text in options.items()}
    schema = {"type": "object", "required": [part], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def check_duration(audio: BinaryIO, most_s: float) -> None:
    """Raise :class:`ClipTooLong` if ``audio`` is longer than ``most_s`` seconds; reads it only if its header does not
    say. libsndfile never gives more than a header says, so one that lies gains nothing.

    Raises:
        UnreadableAudio, TruncatedAudio: it is no audio, or not all of it.
    """
    audio.seek(0)
    samples = expected_samples(audio)
    if not samples:
        audio.seek(0)
        for block in blocks(audio):
            samples += len(block)
            if samples > most_s * SAMPLE_RATE:
                raise ClipTooLong(f"the clip is longer than {most_s:g} s; accepted: at most {most_s:g} s")
    if samples > most_s * SAMPLE_RATE:
        raise ClipTooLong(f"the clip is {samples / SAMPLE_RATE:.1f} s long; accepted: at most {most_s:g} s")
    audio.seek(0)


class _Named(io.RawIOBase):
    """A file as libsndfile wants it, on every Python (a SpooledTemporaryFile lacks parts), with a name for messages."""

    name = "the uploaded file"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._file.read(-1 if size is None else size)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower than any buffer
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()


def as_audio(file: BinaryIO, max_s: float) -> BinaryIO:
    """``file`` as audio of at most ``max_s`` seconds; its errors are those of :func:`upload`."""
    audio = decoded(file)
    check_duration(audio, max_s)
    return audio


def decoded(file: BinaryIO) -> BinaryIO:
    """``file``, or what it holds as base64 (RFC 4648, with line ends, or as a ``data:`` URL)."""
    head = file.read(SNIFFED)
    file.seek(0)
    if head and _BASE64.fullmatch(head):
        text = file.read()
        try:
            file = io.BytesIO(base64.b64decode(b"".join(text.rpartition(b",")[2].split()), validate=True))
        except binascii.Error as error:
            raise InvalidUpload(f"the file is text, but no base64 ({error}); accepted: audio, raw or base64") from error
    return _Named(file)  # type: ignore[return-value]  # all that is asked of one
