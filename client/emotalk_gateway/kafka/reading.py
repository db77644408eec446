"""Records of answers and of dead letters, as whoever reads them wants them.

Rule that this module guards: **a record is read or refused, whatever is in it.** Nothing that it says is believed
beyond its own bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from emotalk_client.faces.track import MAX_FRAMES
from emotalk_contract.arkit import BLENDSHAPES
from emotalk_contract.limits import MAX_EXPORT_FPS
from emotalk_contract.quoting import quoted
from emotalk_gateway.kafka import messages
from emotalk_gateway.kafka.assembling import Block, Final

ROW = 4 * len(BLENDSHAPES)
"""Bytes of a frame."""
MAX_ID = 512
"""Characters of a request's id, or of an attempt's."""
MAX_JSON = 64 << 20
"""Bytes of a record of JSON that is parsed."""
MAX_NESTED = 64
"""Opening brackets in a final record."""


class InvalidRecord(ValueError):
    """A record that is not the one that it should be."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A request that will never do, and the reason."""

    request_id: str
    error_class: str
    error: str
    attempts: int


def headers_of(message: Message) -> dict[str, str]:
    """Return the headers as text; of those that come twice the last, which is Kafka's rule."""
    return {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
        for name, value in messages.headers_of(message)
    }


def read_answer(message: Message) -> Block | Final:
    """Return the block, or the end, of an answer.

    Raises:
        InvalidRecord: it is neither.
    """
    headers, value = headers_of(message), message.value() or b""
    request_id, attempt = _id(headers, "request_id"), _id(headers, "attempt")
    if headers.get("final") == "true":
        return _final(request_id, attempt, value)
    fps = _rate(headers.get("fps", ""))
    first, frames = _count(headers, "first_frame"), _count(headers, "frames")
    weights = _rows_of_json(value) if headers.get("format") == "json" else _rows(value)
    if len(weights) != frames:
        raise InvalidRecord(f"it has {len(weights)} frames, and says {frames}")
    return Block(request_id, attempt, first, fps, weights)


def read_dead_letter(message: Message) -> DeadLetter:
    """Return what a dead letter says.

    Raises:
        InvalidRecord: it is not one.
    """
    headers = headers_of(message)
    if not headers.get("error_class"):
        raise InvalidRecord("it has no header error_class")
    attempts = headers.get("attempts", "1")
    place = "-".join(headers.get(name, "") for name in ("topic", "partition", "offset"))
    request_id = _id(headers, "request_id") if "request_id" in headers else place
    count = int(attempts) if attempts.isascii() and attempts.isdigit() and len(attempts) < 10 else 1
    return DeadLetter(request_id, headers["error_class"], headers.get("error", ""), count)


def _final(request_id: str, attempt: str, value: bytes) -> Final:
    try:
        said = _json(value, MAX_NESTED)
        frames, blocks, sha256 = said["frames"], said["blocks"], said["sha256"]
        fps = _rate(said["fps"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRecord(
            f"its end is {quoted(value)}; accepted: JSON with frames, blocks, fps and sha256"
        ) from error
    if not (_is_count(frames) and _is_count(blocks) and isinstance(sha256, str)):
        raise InvalidRecord(f"its end says {quoted(frames)} frames in {quoted(blocks)} blocks")
    return Final(request_id, attempt, frames, blocks, fps, sha256)


def _json(value: bytes, brackets: int) -> Any:
    """Return what ``value`` holds; :class:`ValueError` where that is not JSON or has more opening brackets."""
    if len(value) > MAX_JSON or value.count(b"{") + value.count(b"[") > brackets:
        raise ValueError("it is too large")
    try:
        return json.loads(value)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _rows(value: bytes) -> NDArray[np.float32]:
    if not value or len(value) % ROW:
        raise InvalidRecord(f"it has {len(value)} bytes; accepted: rows of {ROW}")
    return _finite(np.frombuffer(value, "<f4").reshape(-1, len(BLENDSHAPES)))


def _rows_of_json(value: bytes) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, and refused below
            rows = np.asarray(_json(value, MAX_FRAMES), np.float64).astype(np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRecord(f"it is {quoted(value)}; accepted: JSON, a list of rows") from error
    if rows.ndim != 2 or rows.shape[1] != len(BLENDSHAPES):
        raise InvalidRecord(f"its rows have the shape {rows.shape}; accepted: (frames, {len(BLENDSHAPES)})")
    return _finite(rows)


def _finite(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(rows).all():
        raise InvalidRecord("a weight is not a number")
    return rows


def _id(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not 0 < len(value) <= MAX_ID:
        raise InvalidRecord(f"its header {name} is {quoted(value)}; accepted: 1 to {MAX_ID} characters")
    return value


def _count(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise InvalidRecord(f"its header {name} is {quoted(value)}; accepted: a whole number")
    return int(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9


def _rate(value: object) -> float:
    try:
        rate = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except ValueError:
        rate = math.nan
    if not 0 < rate <= MAX_EXPORT_FPS:  # NaN fails too
        raise InvalidRecord(f"its fps is {quoted(value)}; accepted: up to {MAX_EXPORT_FPS:g}")
    return rate
