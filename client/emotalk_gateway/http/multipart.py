"""Multipart forms (RFC 7578), read as they come.

Push/flush, no I/O. Unlike a framework's own parser it takes a part's bytes as bytes, whether or not the part has a file
name; looks for boundaries at the speed of :meth:`bytes.find`, whatever is sent; and holds no more than a header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from emotalk_gateway.service.errors import InvalidUpload

MOST_HEADER_BYTES = 16 * 1024
"""Of one part's headers."""
MOST_PADDING_BYTES = 256
"""Between a boundary and the end of its line."""
MOST_BOUNDARY_BYTES = 256


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a part."""

    name: str
    is_file: bool
    """True where it has a file name, in either spelling."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the part that began last."""

    data: bytes


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that ``content_type`` names.

    Raises:
        InvalidUpload: it does not name one.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= MOST_BOUNDARY_BYTES:
        raise InvalidUpload(
            f"the content type is {content_type!r}, which has no boundary; accepted: multipart/form-data with one"
        )
    return boundary


class MultipartParser:
    """Bytes in pieces of any size in, :class:`Part` and :class:`Piece` out."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._held = b"\r\n"  # the first boundary may stand at the very beginning
        self._state: Callable[[], Part | Piece | None] = self._preamble
        self._ended = False

    def push(self, data: bytes) -> Iterator[Part | Piece]:
        """Yield what ``data`` completes.

        Raises:
            InvalidUpload: it is not such a form.
        """
        if self._ended:
            return  # an epilogue
        self._held += data
        while True:
            state = self._state
            found = state()
            if found is not None:
                yield found
            elif state == self._state:
                return

    def finish(self) -> None:
        """Raise :class:`InvalidUpload` unless all parts have ended."""
        if not self._ended:
            raise InvalidUpload("the form has no end; accepted: a body that ends with its boundary and two hyphens")

    def _preamble(self) -> None:
        self._skip_to_boundary()

    def _skip_to_boundary(self) -> bytes | None:
        """Bytes before the next boundary (all but what may be the beginning of one); None where there are none."""
        place = self._held.find(self._delimiter)
        if place >= 0:
            before, self._held = self._held[:place], self._held[place + len(self._delimiter) :]
            self._state = self._boundary
            return before or None
        place = max(0, len(self._held) - len(self._delimiter) + 1)
        before, self._held = self._held[:place], self._held[place:]
        return before or None

    def _boundary(self) -> None:
        if self._held.startswith(b"--"):
            self._ended, self._held, self._state = True, b"", self._epilogue
            return
        place = self._held.find(b"\r\n", 0, MOST_PADDING_BYTES)
        if place >= 0 and not self._held[:place].strip(b" \t"):
            self._held = self._held[place:]
            self._state = self._headers
        elif place >= 0 or len(self._held) >= MOST_PADDING_BYTES:
            raise InvalidUpload("a boundary is followed by something else; accepted: a line end, or two hyphens")

    def _headers(self) -> Part | None:
        # The line end of the boundary is still there, so that no headers at all look like some.
        end = self._held.find(b"\r\n\r\n", 0, MOST_HEADER_BYTES)
        if end < 0:
            if len(self._held) >= MOST_HEADER_BYTES:
                raise InvalidUpload(f"a part has more than {MOST_HEADER_BYTES} bytes of headers; accepted: fewer")
            return None
        lines = self._held[2:end].split(b"\r\n")
        self._held = self._held[end + 4 :]
        self._state = self._data
        return _part(lines)

    def _data(self) -> Piece | None:
        data = self._skip_to_boundary()
        return Piece(data) if data is not None else None

    def _epilogue(self) -> None:
        return None


def _part(lines: list[bytes]) -> Part:
    for line in lines:
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            options = parse_options_header(value.strip())[1]
            if b"name" in options:
                return Part(_text(options[b"name"]), b"filename" in options or b"filename*" in value.lower())
    raise InvalidUpload("a part of the form has no name; accepted: Content-Disposition: form-data; name=…")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
