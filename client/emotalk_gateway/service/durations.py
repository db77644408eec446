"""The seconds of a clip, before it is decoded."""

from __future__ import annotations

from typing import BinaryIO

from emotalk_client.audio.loading import blocks, expected_samples
from emotalk_contract.timing import SAMPLE_RATE
from emotalk_gateway.service.errors import ClipTooLong


def check_duration(audio: BinaryIO, most_s: float) -> int:
    """Return the samples of ``audio`` at 16 kHz; it is read only if its header does not say.

    libsndfile never gives more than a header says, so one that lies gains nothing.

    Raises:
        ClipTooLong: it is longer than ``most_s`` seconds.
        UnreadableAudio, TruncatedAudio: it is not audio, or not all of it.
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
    return samples
