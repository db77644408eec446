"""Any audio into what the networks hear: mono, 16 kHz, float32 in -1..1."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emotalk_client.errors import InvalidAudio, TruncatedAudio, UnreadableAudio
from emotalk_ensemble.contract.errors import AudioNotFinite
from emotalk_ensemble.timing import SAMPLE_RATE

AudioSource: TypeAlias = "str | os.PathLike[str] | BinaryIO | NDArray[Any]"
"""A path, an open binary file, or an array [samples] or [samples, channels]."""

MAX_RATE = 768_000
"""Hertz; what the fastest converters give."""
MAX_CHANNELS = 256
"""More than that is an array whose axes were swapped."""

# libsndfile's log notes a chunk that is longer than the file: "data : 64000 (should be 31956)".
_SHORT_CHUNK = re.compile(r"^\s*data\s*:\s*(?P<said>\d+|0x[0-9A-Fa-f]+) \(should be (?P<found>\d+)\)", re.MULTILINE)
_UNKNOWN_LENGTHS = {0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF}
"""What writes to a pipe cannot know its length, and says so with one of these."""


def load(source: AudioSource, sample_rate: int | None = None) -> NDArray[np.float32]:
    """``source`` as [samples], 16 kHz, float32: ceil(n * 16000 / rate) samples of the mean of its channels.

    Args:
        source: a path or an open file (wav, flac, mp3, ogg, opus, whatever libsndfile reads), or an array, in which
            floats are -1..1 and integers full scale.
        sample_rate: Hertz, of an array; files know theirs.

    Raises:
        UnreadableAudio: there is no such file, or it is none that can be read.
        TruncatedAudio: the file ends before its header says.
        InvalidAudio: the array or the rate is no audio.
        AudioNotFinite: a sample is NaN or infinite.
    """
    if isinstance(source, np.ndarray):
        if sample_rate is None:
            raise InvalidAudio("sample_rate is None; an array needs its rate in Hertz")
        return to_network_rate(mono(scaled(source)), sample_rate)
    if sample_rate is not None:
        raise InvalidAudio(f"sample_rate is {sample_rate}, but a file knows its own; accepted: None")
    samples, rate = _read(source)
    return to_network_rate(mono(samples), rate)


def scaled(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Integers of full scale into float32 -1..1; floats as they are."""
    kind = samples.dtype.kind
    if kind == "f":
        return samples.astype(np.float32)
    if kind in "iu" and samples.dtype.itemsize <= 4:
        full = 2.0 ** (8 * samples.dtype.itemsize - 1)
        zero = full if kind == "u" else 0.0  # unsigned audio rests at half scale
        return ((samples.astype(np.float64) - zero) / full).astype(np.float32)
    raise InvalidAudio(f"the array's type is {samples.dtype}; accepted: floats, and integers of 8, 16 and 32 bits")


def mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the channels of [samples] or [samples, channels]."""
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= MAX_CHANNELS):
        raise InvalidAudio(
            f"the array has shape {list(samples.shape)}; accepted: [samples] or [samples, channels] with at most "
            f"{MAX_CHANNELS} channels"
        )
    finite = np.isfinite(samples)
    if not finite.all():
        place = int(np.argwhere(~finite)[0][0])
        raise AudioNotFinite(f"the audio is {samples[place]} at sample {place}; accepted: finite numbers in -1..1")
    return samples if samples.ndim == 1 else samples.mean(axis=1)


def to_network_rate(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resample [n] from ``rate`` Hertz to exactly ceil(n * 16000 / rate) samples (as librosa does, with soxr HQ)."""
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or not 1 <= rate <= MAX_RATE:
        raise InvalidAudio(f"sample_rate is {rate!r}; accepted: an integer in 1..{MAX_RATE} Hertz")
    if rate == SAMPLE_RATE or not len(samples):
        return np.ascontiguousarray(samples)
    wanted = -(-len(samples) * SAMPLE_RATE // int(rate))
    resampled: NDArray[np.float32] = soxr.resample(samples, int(rate), SAMPLE_RATE, quality="HQ")[:wanted]
    return np.pad(resampled, (0, wanted - len(resampled)))


def statistics(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and population variance of a whole clip, [2], summed in float64."""
    count = len(samples)
    total = math.fsum(float(part.sum(dtype=np.float64)) for part in _parts(samples))
    mean = total / count
    variance = math.fsum(float(np.square(part - mean, dtype=np.float64).sum()) for part in _parts(samples)) / count
    return np.array([mean, variance], np.float32)


def _parts(samples: NDArray[np.float32], size: int = 1 << 20) -> list[NDArray[np.float32]]:
    """Views of ``samples``, so that long clips are not doubled in memory."""
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def _read(source: str | os.PathLike[str] | BinaryIO) -> tuple[NDArray[np.float32], int]:
    name = _name(source)
    if isinstance(source, (str, os.PathLike)) and not Path(source).is_file():
        raise UnreadableAudio(f"{name} is no file")
    try:
        with soundfile.SoundFile(source if hasattr(source, "read") else os.fspath(source)) as file:
            _check_complete(name, file.extra_info)
            return file.read(dtype="float32", always_2d=True), file.samplerate
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, TypeError, OSError) as error:
        raise UnreadableAudio(
            f"{name} cannot be read as audio ({_reason(error)}); accepted: wav, flac, mp3, ogg, opus"
        ) from error


def _check_complete(name: str, log: str) -> None:
    if (match := _SHORT_CHUNK.search(log)) and int(match["said"], 0) not in _UNKNOWN_LENGTHS:
        raise TruncatedAudio(
            f"{name} is truncated: its header says {int(match['said'], 0)} bytes of audio, {match['found']} are there"
        )


def _name(source: object) -> str:
    return str(getattr(source, "name", source if isinstance(source, (str, os.PathLike)) else "the file"))


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).rstrip(".")
