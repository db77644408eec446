"""Records that a worker reads and writes: headers, blocks, ends and dead letters. Pure.

Rule that this module guards: **no answer is too long.** Rows are cut into records below the limit of the broker, in
order, and the last record says how many there were, and their checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_contract.arkit import BLENDSHAPE_COUNT
from emotalk_contract.quoting import quoted
from emotalk_gateway.service.errors import LONGEST_MESSAGE, GatewayError
from emotalk_gateway.service.nesting import MAX_DEPTH, depth

FLOAT32, JSON = "float32", "json"
ANSWERS = (FLOAT32, JSON)
"""Forms of a block's value."""
ROW_BYTES = {FLOAT32: 4 * BLENDSHAPE_COUNT, JSON: 15 * BLENDSHAPE_COUNT + 2}
"""At most: the longest float32 in JSON is ``-1.1754944e-38``, and has a comma."""
OVERHEAD = 8192
"""Bytes that a record may take beside its rows: headers, key, and the batch around it."""
MAX_ID, MAX_HEADER = 512, 65_536
"""Characters of a request's id, and bytes of its options."""
MAX_BESIDE = 65_536
"""Bytes of a request's key and headers, which its answers and its dead letter carry too."""
MAX_KEPT_HEADER = 4096
"""Bytes of a header that a dead letter keeps where all of them together are too many."""
MAX_KEPT_HEADERS = 100
"""Of a dead letter."""
SHORT_ERROR = 200
"""Characters of the error in a dead letter whose room is small."""

Headers = list[tuple[str, bytes]]


class InvalidHeaders(GatewayError):
    """Headers of a request that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a record."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's headers."""

    request_id: str
    answer: str = FLOAT32
    options: dict[str, Any] = field(default_factory=dict)
    traceparent: bytes | None = None
    attempts: int = 0
    """Of it, before: a dead letter that was sent again has some."""


def text_of(headers: Iterable[tuple[str, Any]]) -> dict[str, bytes]:
    """Return the headers by name; of those that come twice the last."""
    return {name: value if isinstance(value, bytes) else str(value or "").encode() for name, value in headers}


def beside(key: bytes | None, headers: Iterable[tuple[str, Any]]) -> int:
    """Return the bytes of a request's key and headers."""
    return len(key or b"") + sum(len(name) + len(value or b"") for name, value in headers)


def check_beside(key: bytes | None, headers: Iterable[tuple[str, Any]]) -> None:
    """Raise :class:`InvalidHeaders` for more bytes of key and headers than every answer can carry."""
    if (size := beside(key, headers)) > MAX_BESIDE:
        raise InvalidHeaders(f"key and headers have {size} bytes; accepted: at most {MAX_BESIDE}")


def request_id_of(headers: Iterable[tuple[str, Any]], place: Place) -> str:
    """Return the id of a request: its own, or its place, which stays the same when it is read again."""
    given = text_of(headers).get("request_id", b"")
    text = given.decode("utf-8", "replace")
    return text if 0 < len(text) <= MAX_ID else str(place)


def asked(headers: Iterable[tuple[str, Any]], place: Place) -> Asked:
    """Return what the headers of the request at ``place`` ask for.

    Raises:
        InvalidHeaders: one of them is not as it should be.
    """
    headers = list(headers)
    given = text_of(headers)
    if "" in given:
        raise InvalidHeaders("a header has no name, or one that is not UTF-8; accepted: names in UTF-8")
    answer = given.get("answer", FLOAT32.encode()).decode("utf-8", "replace")
    if answer not in ANSWERS:
        raise InvalidHeaders(f"the header answer is {quoted(answer)}; accepted: {', '.join(ANSWERS)}")
    if len(given.get("request_id", b"").decode("utf-8", "replace")) > MAX_ID:
        raise InvalidHeaders(f"the header request_id is {quoted(given['request_id'])}; accepted: {MAX_ID} characters")
    attempts = given.get("attempts", b"")
    return Asked(
        request_id_of(headers, place),
        answer,
        _options(given.get("options", b"")),
        given.get("traceparent"),
        int(attempts) if attempts.isdigit() and len(attempts) < 10 else 0,
    )


def _options(value: bytes) -> dict[str, Any]:
    if not value:
        return {}
    options: Any = None
    if len(value) <= MAX_HEADER and depth(value) <= MAX_DEPTH:
        try:
            options = json.loads(value)
        except (ValueError, RecursionError):
            options = None
    if not isinstance(options, dict):
        raise InvalidHeaders(f'the header options is {quoted(value)}; accepted: a JSON object such as {{"level": 0.8}}')
    return options


class Answer:
    """The records of one try to answer a request: blocks as frames come, and an end.

    Args:
        asked: of it.
        attempt: id of this try.
        max_bytes: of a record.
        key_bytes: of its key.
    """

    def __init__(self, asked: Asked, attempt: str, max_bytes: int, key_bytes: int = 0) -> None:
        self._asked = asked
        self._common: Headers = [("request_id", asked.request_id.encode()), ("attempt", attempt.encode())]
        if asked.traceparent is not None:
            self._common.append(("traceparent", asked.traceparent))
        carried = key_bytes + sum(len(value) for _, value in self._common)
        self._rows = max(1, (max_bytes - OVERHEAD - carried) // ROW_BYTES[asked.answer])
        self._digest = hashlib.sha256()
        self._blocks = 0
        self._fps = 0
        self.frames = 0
        self.emotions: Mapping[str, float] | None = None
        """The emotion that was heard, of which the final record tells; None: the served model detects none."""

    @property
    def seconds(self) -> float:
        """Of speech, so far."""
        return self.frames / self._fps if self._fps else 0.0

    def blocks(self, weights: NDArray[np.float32], fps: int) -> Iterator[tuple[bytes, Headers]]:
        """Yield (value, headers) of the records for the next rows [F, 52]."""
        self._fps = fps
        for start in range(0, len(weights), self._rows):
            rows = np.ascontiguousarray(weights[start : start + self._rows], "<f4")
            value = rows.tobytes()
            self._digest.update(value)
            own = {
                "first_frame": self.frames,
                "frames": len(rows),
                "fps": fps,
                "format": self._asked.answer,
            }
            self.frames += len(rows)
            self._blocks += 1
            headers = [*self._common, *((name, str(said).encode()) for name, said in own.items())]
            yield (value if self._asked.answer == FLOAT32 else _as_json(rows)), headers

    def end(self) -> tuple[bytes, Headers]:
        """Return (value, headers) of the last record."""
        said: dict[str, object] = {
            "frames": self.frames,
            "blocks": self._blocks,
            "fps": self._fps,
            "sha256": self._digest.hexdigest(),
            "duration_s": self.seconds,
        }
        if self.emotions is not None:
            said["emotions"] = self.emotions
        return json.dumps(said).encode(), [*self._common, ("final", b"true"), ("frames", str(self.frames).encode())]


def _as_json(rows: NDArray[np.float32]) -> bytes:
    """Return JSON whose numbers read back as the same float32: the shortest ones that do."""
    return ("[" + ",".join("[" + ",".join(str(one) for one in row) + "]" for row in rows) + "]").encode()


class Kept(IntEnum):
    """Parts of a request that its dead letter keeps."""

    ALL = 0
    NO_VALUE = 1
    NAME = 2
    """Its id only, with a short error and without a key: for a broker that takes very small records."""


def dead_letter(
    headers: Sequence[tuple[str, Any]],
    size: int,
    place: Place,
    error_class: str,
    error: str,
    attempts: int,
    kept: Kept,
) -> Headers:
    """Return the headers of the dead letter for the request at ``place``, whose value has ``size`` bytes."""
    said = {
        "error_class": error_class,
        "error": error[: SHORT_ERROR if kept == Kept.NAME else LONGEST_MESSAGE],
        "attempts": attempts,
        "topic": place.topic,
        "partition": place.partition,
        "offset": place.offset,
        "failed_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
    }
    if kept != Kept.ALL:
        said["bytes"] = size
    return [*_kept(headers, kept), *((name, str(value).encode()) for name, value in said.items())]


def _kept(headers: Sequence[tuple[str, Any]], kept: Kept) -> list[tuple[str, Any]]:
    if kept == Kept.NAME:
        given = text_of(headers).get("request_id", b"")
        return [("request_id", given)] if 0 < len(given) <= MAX_ID else []
    longest = MAX_KEPT_HEADER if beside(None, headers) > MAX_BESIDE else MAX_BESIDE
    return [
        (name, value)
        for name, value in headers[:MAX_KEPT_HEADERS]
        if name not in ("attempts", *_OF_DEATH) and len(name) + len(value or b"") <= longest
    ]


_OF_DEATH = ("error_class", "error", "topic", "partition", "offset", "failed_at", "bytes")
