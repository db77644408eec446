"""Sound into the bytes of a file."""

from __future__ import annotations

import io
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.resampler import at_rate

AudioFormat: TypeAlias = Literal["wav", "flac", "mp3", "opus"]
"""Files that :func:`encoded` writes; ``opus`` in Ogg."""
_FORMATS: dict[AudioFormat, tuple[str, str]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "opus": ("OGG", "OPUS"),
}
_ANY_RATE = ("wav", "flac")
COMMON_RATE = 24_000
"""Hertz of what has to be resampled: the codecs of the others know a few rates only, and this is one of each."""
_COMMON_RATES = (16_000, COMMON_RATE, 48_000)


def encoded(pcm: NDArray[np.int16], sample_rate: int, kind: AudioFormat) -> bytes:
    """Return ``pcm`` [n], mono, full scale, at ``sample_rate`` Hertz, as a file; blocks."""
    import soundfile  # it loads libsndfile

    if kind not in _ANY_RATE and sample_rate not in _COMMON_RATES:
        pcm, sample_rate = at_rate(pcm, sample_rate, COMMON_RATE), COMMON_RATE
    container, codec = _FORMATS[kind]
    file = io.BytesIO()
    soundfile.write(file, pcm, sample_rate, format=container, subtype=codec)
    return file.getvalue()
