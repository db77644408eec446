"""The first message of a call, checked."""

from __future__ import annotations

from typing import Any

from emotalk_client.errors import InvalidAudio
from emotalk_gateway.service.errors import InvalidMessage

MIN_RATE, MAX_RATE = 16_000, 144_000
"""Hertz, as Audio2Face-3D's own."""
BITS = 16
PCM = 0


def rate_of(header: Any) -> int:
    """Return the rate of the sound to come, in Hertz, from an AudioStreamHeader.

    Raises:
        InvalidMessage: the header does not say.
        InvalidAudio: it is other sound than is accepted.
    """
    if not header.HasField("audio_header"):
        raise InvalidMessage("the header has no audio_header; accepted: PCM, 1 channel, 16 bits")
    audio = header.audio_header
    for name, value, accepted in (
        ("audio_format", audio.audio_format, PCM),
        ("channel_count", audio.channel_count, 1),
        ("bits_per_sample", audio.bits_per_sample, BITS),
    ):
        if value != accepted:
            raise InvalidAudio(f"{name} is {value}; accepted: {accepted}")
    rate = int(audio.samples_per_second)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InvalidAudio(f"samples_per_second is {rate}; accepted: {MIN_RATE}..{MAX_RATE}")
    return rate
