"""Any audio into what the networks hear: mono, 16 kHz, float32 in -1..1.

Rule that this module guards: **how audio is cut never shows.** :func:`load` is :func:`blocks`, joined, so a long file
read block by block gives to the bit what it gives in one piece (of an mp3 to 1e-7: its decoder itself is not steadier).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.arrays import check_shape, check_values, scaled
from emotalk_client.audio.files import opened
from emotalk_client.audio.mixing import Mixer
from emotalk_client.audio.notices import Notices
from emotalk_client.audio.pipes import name_of
from emotalk_client.audio.resampler import Resampler
from emotalk_client.errors import InvalidAudio
from emotalk_contract.timing import SAMPLE_RATE

AudioSource: TypeAlias = "str | os.PathLike[str] | BinaryIO | NDArray[Any]"
"""A path, an open binary file, or an array [samples] or [samples, channels]."""

BLOCK = 1 << 18
"""Samples a channel that are read, mixed and resampled at once (5 s at 48 kHz)."""


def load(source: AudioSource, sample_rate: int | None = None) -> NDArray[np.float32]:
    """Return ``source`` as [samples], 16 kHz, float32: ceil(n * 16000 / rate) samples of the mean of its channels.

    Where channels cancel each other, the strongest is used alone, and that is logged.

    Args:
        source: a path or an open file (wav, flac, mp3, ogg, opus, whatever libsndfile reads; with the extra ``media``
            webm, mp4, m4a and others), or an array, in which floats are -1..1 and integers full scale.
        sample_rate: Hertz, of an array; files know theirs.

    Raises:
        UnreadableAudio: there is not such a file, or it cannot be read as audio.
        TruncatedAudio: the file ends before its header says.
        MissingDecoder: the file takes a decoder that is not installed.
        InvalidAudio: the array or the rate is not audio.
        AudioNotFinite: a sample is NaN or infinite.
        AudioOutOfRange: samples far outside -1..1.
    """
    parts = list(blocks(source, sample_rate))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def blocks(
    source: AudioSource, sample_rate: int | None = None, size: int = BLOCK, notices: Notices | None = None
) -> Generator[NDArray[np.float32], None, None]:
    """Yield :func:`load`, piece by piece: joined, the pieces are what it gives, whatever ``size`` (samples at once).

    Args:
        source, sample_rate: as for :func:`load`.
        size: samples a channel that are read at once.
        notices: where warnings go; whoever reads a clip twice hands over the same, so that each is logged once.

    Raises:
        the errors of :func:`load`; what is wrong with a later piece only when it is reached.
    """
    if size < 1:
        raise ValueError(f"size is {size}; accepted: at least 1 sample")
    rate = _array_rate(source, sample_rate)
    notices = Notices() if notices is None else notices
    if rate is not None:
        yield from _resampled(_array_pieces(source, size), rate, "the array", notices)
    else:
        file: Any = source
        with opened(file, notices) as sound:
            yield from _resampled(sound.pieces(size), sound.samplerate, name_of(source), notices)


def expected_samples(source: AudioSource, sample_rate: int | None = None) -> int:
    """Return the samples that :func:`load` should give, as far as a header tells; 0 where it does not.

    Raises:
        UnreadableAudio, TruncatedAudio, InvalidAudio: as :func:`load`, for what shows without reading.
    """
    rate = _array_rate(source, sample_rate)
    if rate is not None:
        _array_pieces(source, BLOCK)
        Resampler(rate)
        return -(-len(source) * SAMPLE_RATE // rate)  # type: ignore[arg-type]  # an array, then
    file: Any = source
    with opened(file, Notices()) as sound:
        return -(-sound.frames * SAMPLE_RATE // sound.samplerate)


def _resampled(
    pieces: Iterator[NDArray[np.float32]], rate: int, name: str, notices: Notices
) -> Iterator[NDArray[np.float32]]:
    """``pieces`` [n] or [n, channels], mixed, checked and resampled."""
    resampler, mixer = Resampler(rate), Mixer(rate)
    place = 0

    def heard(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal place
        if mixer.used_alone is not None:
            notices.warn(f"the channels of {name} cancel each other; channel {mixer.used_alone + 1} is used alone")
        check_values(samples, place)
        place += len(samples)
        return resampler.push(samples)

    for piece in pieces:
        if len(out := heard(mixer.push(piece))):
            yield out
    for out in (heard(mixer.flush()), resampler.flush()):
        if len(out):
            yield out


def _array_rate(source: AudioSource, sample_rate: int | None) -> int | None:
    """The rate of an array; None for a file."""
    if isinstance(source, np.ndarray):
        if sample_rate is None:
            raise InvalidAudio("sample_rate is None; an array needs its rate in Hertz")
        return sample_rate
    if not isinstance(source, (str, os.PathLike)) and not hasattr(source, "read"):
        raise InvalidAudio(f"the audio is a {type(source).__name__}; accepted: a path, an open binary file or an array")
    if sample_rate is not None:
        raise InvalidAudio(f"sample_rate is {sample_rate}, but a file knows its own; accepted: None")
    return None


def _array_pieces(array: Any, size: int) -> Iterator[NDArray[np.float32]]:
    check_shape(array, "array")
    scaled(array[:0])  # the type is checked even where there is nothing to scale
    return (np.ascontiguousarray(scaled(array[i : i + size])) for i in range(0, len(array), size))
