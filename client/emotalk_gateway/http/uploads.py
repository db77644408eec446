"""An upload, taken in within its limits.

Rule that this module guards: **nothing is decoded that is not allowed, and nobody is admitted whose body has not
come.** Too long a clip is refused by its header. Bodies, whose size :mod:`~emotalk_gateway.listening.lifetime` watches,
lie in a :class:`~emotalk_gateway.service.spool.Spool`.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from starlette.requests import Request

from emotalk_client.threads import in_thread
from emotalk_contract.limits import MAX_EMOTION_KEYS_CHARACTERS
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_gateway.http.multipart import MultipartParser, Part, boundary_of
from emotalk_gateway.listening.access import check_header
from emotalk_gateway.service.callers import ANYONE, Caller
from emotalk_gateway.service.durations import check_duration
from emotalk_gateway.service.errors import InvalidUpload
from emotalk_gateway.service.nesting import MAX_DEPTH, depth
from emotalk_gateway.service.service import Service
from emotalk_gateway.service.spool import Spool

MAX_FIELDS = 32
KINDS = "wav, flac, mp3, ogg, opus; with the extra media, webm, mp4, m4a and others"
MAX_FIELD_BYTES = MAX_EMOTION_KEYS_CHARACTERS + 64 * 1024
"""Of all fields of a form together; the file is none of them."""
SNIFFED = 64
"""Bytes that tell text from audio: every audio file has bytes that are not text in its first ones."""
DECODED = 64 * 1024
"""Bytes of base64 that are decoded at once."""
_BASE64 = re.compile(rb"(?:data:[^,]{0,100};base64,)?[A-Za-z0-9+/=\s]*")
_SPACE = b" \t\r\n\v\f"


@dataclass(frozen=True, slots=True)
class Upload:
    """A form with a file in it."""

    audio: BinaryIO
    """Seekable; its name says nothing of the caller's or the gateway's."""
    fields: dict[str, str]
    caller: Caller = ANYONE


@asynccontextmanager
async def received(service: Service, request: Request, part: str) -> AsyncIterator[Upload]:
    """The upload in ``part`` of the form, taken in, admitted and not too long, for as long as the block lasts.

    Raises:
        NotAuthorised, NotPermitted, LimitReached: the caller may not have it.
        GatewayFull, InvalidUpload, UploadTooLarge, ClipTooLong, AudioError: it is not.
    """
    caller = check_header(request, service, "animate")
    service.uploads.check()  # who would be refused at the end need not send it
    with ExitStack() as held:
        spool = held.enter_context(Spool(service.bodies))
        fields = await form(request, part, spool)
        with service.uploads.admit():
            async with service.reading:
                raw = await in_thread(decoded, spool.file, lambda: held.enter_context(Spool(service.bodies)))
                samples = await in_thread(check_duration, raw, service.settings.max_audio_s)
            service.access.clip(caller, samples / SAMPLE_RATE)
            yield Upload(raw, fields, caller)


async def body(request: Request, spool: Spool) -> None:
    """Take all of the body of ``request`` into ``spool``."""
    async for piece in request.stream():
        await _write(spool, piece)


async def form(request: Request, part: str, spool: Spool) -> dict[str, str]:
    """Take the form of ``request`` in: ``part`` into ``spool``, and the other fields, which are returned.

    Raises:
        InvalidUpload: the body is not such a form.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise InvalidUpload(f"the content type is {kind!r}; accepted: multipart/form-data with a file in {part!r}")
    fields = Fields(part)
    parser = MultipartParser(boundary_of(kind))
    async for piece in request.stream():
        for found in parser.push(piece):
            if isinstance(found, Part):
                fields.begin(found)
            elif fields.in_file:
                await _write(spool, found.data)
            else:
                fields.add(found.data)
    parser.finish()
    return fields.checked()


async def _write(spool: Spool, piece: bytes) -> None:
    if spool.in_memory:
        spool.write(piece)
    else:
        await in_thread(spool.write, piece)


class Fields:
    """The fields of a form, and whether its file, in ``part``, was among them. No I/O."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._values: dict[str, bytearray] = {}
        self._files: list[str] = []
        self._current: bytearray | None = None
        self._bytes = 0
        self.in_file = False
        """True while what comes is the file's."""

    def begin(self, part: Part) -> None:
        """A part begins."""
        if len(self._values) + len(self._files) >= MAX_FIELDS:
            raise InvalidUpload(f"the form has more than {MAX_FIELDS} parts; accepted: at most {MAX_FIELDS}")
        self.in_file = part.name == self._part
        self._current = None
        if self.in_file or part.is_file:
            self._files.append(part.name)
        else:
            self._current = self._values[part.name] = bytearray()

    def add(self, data: bytes) -> None:
        """More of a part that is not the file."""
        if self._current is None:  # somebody else's file
            return
        self._bytes += len(data)
        if self._bytes > MAX_FIELD_BYTES:
            raise InvalidUpload(
                f"the fields of the form have more than {MAX_FIELD_BYTES} bytes; accepted: at most {MAX_FIELD_BYTES}"
            )
        self._current += data

    def checked(self) -> dict[str, str]:
        """Return the fields; :class:`InvalidUpload` unless there was one file, in its part."""
        if self._part not in self._files:
            given = ", ".join(sorted({*self._values, *self._files})) or "none"
            raise InvalidUpload(
                f"the form has no part {self._part!r}; it has {given}; accepted: a file in {self._part!r}"
            )
        if len(self._files) > 1:
            raise InvalidUpload(
                f"the form has {len(self._files)} files, in {', '.join(self._files)}; accepted: one, in {self._part!r}"
            )
        return {name: _text(name, value) for name, value in self._values.items()}


def _text(name: str, value: bytearray) -> str:
    if depth(value) > MAX_DEPTH:
        raise InvalidUpload(f"the field {name!r} nests more than {MAX_DEPTH} deep; accepted: text, or an object")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidUpload(f"the field {name!r} is {bytes(value)!r}; accepted: UTF-8") from error


def form_schema(part: str, options: Mapping[str, str], kinds: str = KINDS) -> dict[str, Any]:
    """The form in OpenAPI's words: a file of ``kinds`` in ``part``, and ``options`` with what they mean."""
    properties: dict[str, Any] = {part: {"type": "string", "format": "binary", "description": kinds}}
    properties |= {name: {"type": "string", "description": text} for name, text in options.items()}
    schema = {"type": "object", "required": [part], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


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


def decoded(file: BinaryIO, spool: Callable[[], Spool]) -> BinaryIO:
    """Return ``file``, or what it holds as base64 (RFC 4648, with line ends, or as a ``data:`` URL), in ``spool()``.

    Raises:
        InvalidUpload: it looks like base64, and is not.
    """
    file.seek(0)
    head = file.read(SNIFFED)
    file.seek(0)
    if not head or not _BASE64.fullmatch(head):
        return _Named(file)  # type: ignore[return-value]  # all that is asked of one
    file.seek(head.find(b",") + 1)
    out = spool()
    decoder = Base64Decoder()
    while piece := file.read(DECODED):
        out.write(decoder.push(piece))
    decoder.finish()
    out.file.seek(0)
    return _Named(out.file)  # type: ignore[return-value]  # likewise


class Base64Decoder:
    """Text in pieces of any size in, bytes out. No I/O."""

    def __init__(self) -> None:
        self._held = b""
        self._padded = False

    def push(self, text: bytes) -> bytes:
        """Return the bytes of all whole groups of four letters.

        Raises:
            InvalidUpload: it is not base64.
        """
        held = self._held + text.translate(None, _SPACE)
        whole = len(held) // 4 * 4
        group, self._held = held[:whole], held[whole:]
        if self._padded and held:
            raise self._wrong("more after its padding")
        self._padded = self._padded or group.endswith(b"=")
        try:
            return base64.b64decode(group, validate=True)
        except binascii.Error as error:
            raise self._wrong(str(error)) from error

    def finish(self) -> None:
        """Raise :class:`InvalidUpload` where the last group is not whole."""
        if self._held:
            raise self._wrong(f"its last group has {len(self._held)} letters of four")

    def _wrong(self, why: str) -> InvalidUpload:
        return InvalidUpload(f"the file is text, but not base64 ({why}); accepted: audio, raw or base64")
