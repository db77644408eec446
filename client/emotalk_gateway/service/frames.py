"""Frames to convert, read from JSON in pieces.

Rule that this module guards: **what is read is never much larger than the frames that it holds.** A whole-document
parser makes an object of every number first, thirty times the frames' own size, and lets nobody else run meanwhile.
Here rows are cut out of the text, and some thousand numbers are parsed at a time; a row that is not a row ends it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from emotalk_client.faces.animation import Animation
from emotalk_client.faces.resampling import check_rate
from emotalk_client.settings import is_number
from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.limits import MAX_EXPORT_FPS
from emotalk_contract.timing import FPS
from emotalk_gateway.service.errors import ClipTooLong, InvalidFrames

PIECE = 64 * 1024
"""Bytes that are read and parsed at once."""
MOST_ROW = 16 * 1024
"""Bytes of one row, spaces included."""
MOST_OTHER = 4 * 1024
"""Bytes of any other value, and of a key."""
ACCEPTED = f'{{"fps": {FPS}, "timecode": 0.0, "blendshapes": [[{BLENDSHAPE_COUNT} numbers], …]}}'

_ROW = rb'\s*\[[^\[\]{}"]*\]\s*'
_ROWS = re.compile(rb"(?:" + _ROW + rb",)+")
_LAST = re.compile(_ROW + rb"(?=\])")
_SPACE = b" \t\r\n"


def parsed(file: BinaryIO, max_s: float) -> Animation:
    """Return the animation in ``file``: a JSON object with ``blendshapes``, and perhaps ``fps`` and ``timecode``.

    Raises:
        InvalidFrames: it is not one.
        InvalidRate: ``fps`` is not a rate.
        ClipTooLong: it is longer than ``max_s`` seconds.
    """
    text = _Text(file)
    given: dict[str, Any] = {}
    text.take(b"{")
    if text.peek() == b"}":
        text.take(b"}")
    else:
        while True:
            name = text.value()
            if not isinstance(name, str):
                raise _not_json(f"a key is {name!r}")
            text.take(b":")
            if name in given:
                raise InvalidFrames(f"the body has {name!r} twice; accepted: {ACCEPTED}")
            if name == "blendshapes":
                given[name] = _weights(text, max_s * _rate(given.get("fps", MAX_EXPORT_FPS)), max_s)
            else:
                given[name] = text.value()
            if text.take(b",}") == b"}":
                break
    if text.peek():
        raise _not_json("it goes on after its end")
    return _animation(given, max_s)


def _animation(given: dict[str, Any], max_s: float) -> Animation:
    if "blendshapes" not in given:
        raise InvalidFrames(f"the body has no list of blendshapes; accepted: {ACCEPTED}")
    weights, fps, start = given["blendshapes"], _rate(given.get("fps", FPS)), given.get("timecode", 0.0)
    if not (is_number(start) and math.isfinite(start)):
        raise InvalidFrames(f"timecode is {start!r}; accepted: seconds")
    if len(weights) > max_s * fps:
        raise ClipTooLong(f"the clip is {len(weights) / fps:.1f} s long; accepted: at most {max_s:g} s")
    return Animation(weights, start + np.arange(len(weights)) / fps, fps)


def _rate(fps: Any) -> float:
    return check_rate(fps)


def _weights(text: _Text, most: float, max_s: float) -> NDArray[np.float32]:
    parts: list[NDArray[np.float32]] = []
    count = 0
    for rows in text.rows():
        part = _parsed_rows(rows, count)
        parts.append(part)
        count += len(part)
        if count > most:
            raise ClipTooLong(f"the clip has more than {count} frames; accepted: at most {max_s:g} s")
    if not parts:
        raise InvalidFrames(f"blendshapes have shape [0]; accepted: {ACCEPTED}")
    return np.concatenate(parts)


def _parsed_rows(text: bytes, first: int) -> NDArray[np.float32]:
    try:
        rows = orjson.loads(b"[" + text + b"]")
    except orjson.JSONDecodeError as error:
        raise _not_json(str(error)) from error
    for number, row in enumerate(rows, first):
        if len(row) != BLENDSHAPE_COUNT:
            raise InvalidFrames(f"row {number} has {len(row)} numbers; accepted: {ACCEPTED}")
    try:
        with np.errstate(over="ignore"):  # what overflows is infinite, which is refused below
            weights = np.array(rows, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidFrames(f"rows from {first} on are not numbers; accepted: {ACCEPTED}") from error
    if not np.isfinite(weights).all():
        wrong = first + int(np.flatnonzero(~np.isfinite(weights).all(axis=1))[0])
        raise InvalidFrames(f"row {wrong} has a number that is not finite; accepted: {ACCEPTED}")
    return weights


class _Text:
    """JSON in ``file``, from its front to its back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._held = b""

    def peek(self) -> bytes:
        """Return the next letter that is not a space; nothing at the end."""
        while not (left := self._held.lstrip(_SPACE)) and self._more():
            pass
        self._held = left
        return left[:1]

    def take(self, accepted: bytes) -> bytes:
        """Take the next letter, which must be one of ``accepted``."""
        letter = self.peek()
        if not letter or letter not in accepted:
            found = f"{letter.decode('latin-1')!r} comes" if letter else "it ends"
            raise _not_json(f"{found} where one of {accepted.decode()!r} is due")
        self._held = self._held[1:]
        return letter

    def value(self) -> Any:
        """Take the next value, a short one."""
        self.peek()
        while len(self._held) <= MOST_OTHER and self._more():
            pass
        text = self._held[: MOST_OTHER + 1].decode("latin-1")  # JSON itself is ASCII; other letters do not matter
        try:
            value, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", error)
            raise _not_json(f"{reason}, or more than {MOST_OTHER} bytes of one value") from error
        self._held = self._held[end:]
        return value

    def rows(self) -> Iterator[bytes]:
        """Take a list of lists without further lists in them; yield some of its rows, parted by commas, at a time."""
        if self.peek() != b"[":
            raise InvalidFrames(f"blendshapes are not a list; accepted: {ACCEPTED}")
        self.take(b"[")
        if self.peek() == b"]":
            self.take(b"]")
            return
        while True:
            if found := _ROWS.match(self._held):
                self._held = self._held[found.end() :]
                yield found[0][:-1]
            elif found := _LAST.match(self._held):
                self._held = self._held[found.end() :]
                self.take(b"]")
                yield found[0]
                return
            elif len(self._held) > MOST_ROW or not self._more():
                raise InvalidFrames(f"blendshapes are not rows of {BLENDSHAPE_COUNT} numbers; accepted: {ACCEPTED}")

    def _more(self) -> bool:
        piece = self._file.read(PIECE)
        self._held += piece
        return bool(piece)


def _not_json(why: str) -> InvalidFrames:
    return InvalidFrames(f"the body is not the JSON that is accepted ({why}); accepted: {ACCEPTED}")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
