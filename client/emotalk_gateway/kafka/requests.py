"""Requests of a queue, as every door's: a record's value and headers become a :class:`FaceRequest`."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import soundfile

from emotalk_client.audio.loading import expected_samples
from emotalk_contract.quoting import quoted
from emotalk_contract.timing import FPS, SAMPLE_RATE
from emotalk_gateway.kafka.records import Asked
from emotalk_gateway.kafka.references import Allowed, fetched, is_reference
from emotalk_gateway.service.errors import ClipTooLong, GatewayError, UploadTooLarge
from emotalk_gateway.service.options import animate_options
from emotalk_gateway.service.request import FaceRequest
from emotalk_gateway.service.retiming import check_whole_rate

ROUTE = "kafka"
MAX_BRACKETS = 100
"""Opening brackets of JSON: what nests deeper than a parser can follow is refused before it is parsed, and so are the
millions of small objects that 64 MiB could become. (A form's fields are small; there the depth alone is asked for.)"""
OLD_NAMES = {"emotion_level": "level", "person_id": "person", "chunk_duration": "window", "chunk_overlap": "overlap"}
"""Names that an older service gives to our options."""


class InvalidJson(GatewayError):
    """JSON that is not a request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of one request."""

    max_bytes: int = 64 << 20
    max_audio_s: float = 3600.0
    allowed: Allowed = field(default_factory=Allowed)


def face_request(value: bytes, asked: Asked, limits: Limits) -> FaceRequest:
    """Return the request that a record's ``value`` makes; blocks while a reference is fetched.

    Raises:
        UploadTooLarge, ClipTooLong: it is too large, or too long.
        InvalidJson, InvalidReference, InvalidRequest, AudioError: it cannot be one.
        ReferenceUnavailable: it can be fetched later.
    """
    check_size(len(value), limits)
    given = dict(asked.options)
    sound: BinaryIO
    if value.startswith(b"{"):
        sound, old = _of_json(value)
        given = old | given
    elif is_reference(value):
        sound = fetched(value, limits.allowed, limits.max_bytes)
    else:
        sound = io.BytesIO(value)
    fps = check_whole_rate(given.pop("fps", FPS))
    options = animate_options(given)
    _check_length(sound, limits.max_audio_s)
    return FaceRequest(ROUTE, sound, options, fps)


def check_size(size: int, limits: Limits) -> None:
    """Raise :class:`UploadTooLarge` for a value of more bytes than are accepted."""
    if size > limits.max_bytes:
        raise UploadTooLarge(f"the record has {size} bytes; accepted: at most {limits.max_bytes}")


def _of_json(value: bytes) -> tuple[BinaryIO, dict[str, Any]]:
    """Return the sound and the options in the JSON of an older service."""
    if value.count(b"{") + value.count(b"[") > MAX_BRACKETS:
        raise InvalidJson(f"the record is JSON with more than {MAX_BRACKETS} brackets; accepted: one object")
    try:
        said = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidJson(f"the record begins as JSON and is not: {quoted(str(error))}") from error
    if not isinstance(said, Mapping) or not isinstance(said.get("audio_data"), str):
        raise InvalidJson("the record is JSON without audio_data; accepted: hex of float32 samples at 16 kHz")
    try:
        raw = bytes.fromhex(said["audio_data"])
        samples = np.frombuffer(raw, "<f4")
    except ValueError as error:
        raise InvalidJson("audio_data is not the hex of float32 samples at 16 kHz") from error
    sound = io.BytesIO()
    soundfile.write(sound, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    sound.seek(0)
    options = {ours: said[old] for old, ours in OLD_NAMES.items() if said.get(old) is not None}
    if said.get("post_processing") is False:
        options["raw"] = True
    return sound, options


def _check_length(sound: BinaryIO, most_s: float) -> None:
    samples = expected_samples(sound)
    sound.seek(0)
    if samples > most_s * SAMPLE_RATE:
        raise ClipTooLong(f"the clip is {samples / SAMPLE_RATE:.1f} s long; accepted: at most {most_s:g} s")
