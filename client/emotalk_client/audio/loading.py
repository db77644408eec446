"""Any audio into what the networks hear: mono, 16 kHz, float32 in -1..1.

Rule that this module guards: **how audio is cut never shows.** :func:`load` is :func:`blocks`, joined, so a long file
read block by block gives to the bit what it gives in one piece (of an mp3 to 1e-7: its decoder itself is no steadier).
"""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from emotalk_client.errors import InvalidAudio, TruncatedAudio, UnreadableAudio
from emotalk_contract.errors import AudioNotFinite, AudioOutOfRange
from emotalk_contract.limits import MAX_AMPLITUDE
from emotalk_contract.timing import SAMPLE_RATE

logger = logging.getLogger(__name__)

AudioSource: TypeAlias = "str | os.PathLike[str] | BinaryIO | NDArray[Any]"
"""A path, an open binary file, or an array [samples] or [samples, channels]."""

MAX_RATE = 768_000
"""Hertz; what the fastest converters give."""
MAX_CHANNELS = 256
"""More than that is an array whose axes were swapped."""
BLOCK = 1 << 18
"""Samples a channel that are read, mixed and resampled at once (5 s at 48 kHz)."""
MOST_AT_ONCE = 4 * BLOCK
"""Samples of all channels together, at most: a small file may claim hundreds of channels."""

# libsndfile's log notes a chunk that is longer than the file: "data : 64000 (should be 31956)".
_SHORT_CHUNK = re.compile(r"^\s*data\s*:\s*(?P<said>\d+|0x[0-9A-Fa-f]+) \(should be (?P<found>\d+)\)", re.MULTILINE)
_UNKNOWN_LENGTHS = {0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF}
"""What writes to a pipe cannot know its length, and says so with one of these."""
_UNKNOWN_FRAMES = 2**62
"""From here on, libsndfile's number of frames means that the header has none."""
_ESTIMATED = {"MP3"}
"""Containers whose header only guesses at the length."""


class Resampler:
    """Mono samples at ``rate`` Hertz into 16 kHz. No I/O: push blocks of any size, take what is ready, flush.

    Everything that comes out, joined, has exactly ceil(n * 16000 / rate) samples, and is to the bit what librosa's
    ``load(sr=16000)`` gives (soxr HQ, the last sample made up with a zero where soxr rounds down).

    Raises:
        InvalidAudio: ``rate`` is no rate.
    """

    def __init__(self, rate: int) -> None:
        if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or not 1 <= rate <= MAX_RATE:
            raise InvalidAudio(f"sample_rate is {rate!r}; accepted: an integer in 1..{MAX_RATE} Hertz")
        self._rate = int(rate)
        self._taken = 0
        self._given = 0
        same = self._rate == SAMPLE_RATE
        self._soxr = None if same else soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The samples that are final now that ``samples`` [n] have come, perhaps none."""
        self._taken += len(samples)
        return self._out(samples if self._soxr is None else self._soxr.resample_chunk(samples))

    def flush(self) -> NDArray[np.float32]:
        """What is left at the end."""
        wanted = -(-self._taken * SAMPLE_RATE // self._rate) - self._given
        if self._soxr is None or not self._taken:
            return np.zeros(0, np.float32)
        rest = self._soxr.resample_chunk(np.zeros(0, np.float32), last=True)[:wanted]
        return self._out(np.pad(rest, (0, wanted - len(rest))))

    def _out(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self._given += len(samples)
        return samples


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
        AudioOutOfRange: samples far outside -1..1.
    """
    parts = list(blocks(source, sample_rate))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def blocks(
    source: AudioSource, sample_rate: int | None = None, size: int = BLOCK
) -> Generator[NDArray[np.float32], None, None]:
    """:func:`load`, piece by piece: joined, the pieces are what it gives, whatever ``size`` (samples read at once).

    Raises:
        the errors of :func:`load`; what is wrong with a later piece only when it is reached.
    """
    if size < 1:
        raise ValueError(f"size is {size}; accepted: at least 1 sample")
    rate = _array_rate(source, sample_rate)
    if rate is not None:
        yield from _resampled(_array_pieces(source, size), Resampler(rate))
    else:
        with _reading(source) as file:
            yield from _resampled(_file_pieces(_name(source), file, size), Resampler(file.samplerate))


def expected_samples(source: AudioSource, sample_rate: int | None = None) -> int:
    """Samples that :func:`load` should give, as far as a header tells; 0 where it does not. Reads no audio.

    Raises:
        UnreadableAudio, TruncatedAudio, InvalidAudio: as :func:`load`, for what shows without reading.
    """
    rate = _array_rate(source, sample_rate)
    if rate is not None:
        _array_pieces(source, BLOCK)
        Resampler(rate)
        return -(-len(source) * SAMPLE_RATE // rate)  # type: ignore[arg-type]  # an array, then
    with _reading(source) as file:
        return -(-file.frames * SAMPLE_RATE // file.samplerate) if file.frames < _UNKNOWN_FRAMES else 0


def scaled(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Integers of full scale into float32 -1..1; floats as they are."""
    kind = samples.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):  # what overflows is infinite, which check_values refuses
            return samples.astype(np.float32)
    if kind in "iu" and samples.dtype.itemsize <= 4:
        full = 2.0 ** (8 * samples.dtype.itemsize - 1)
        zero = full if kind == "u" else 0.0  # unsigned audio rests at half scale
        return ((samples.astype(np.float64) - zero) / full).astype(np.float32)
    raise InvalidAudio(f"the array's type is {samples.dtype}; accepted: floats, and integers of 8, 16 and 32 bits")


def mixed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean [n] of the channels of ``samples`` [n] or [n, channels]."""
    if samples.ndim == 1:
        return samples
    with np.errstate(over="ignore", invalid="ignore"):  # likewise
        mean: NDArray[np.float32] = np.ascontiguousarray(samples).mean(axis=1)
    return mean


def _resampled(pieces: Iterator[NDArray[np.float32]], resampler: Resampler) -> Iterator[NDArray[np.float32]]:
    """``pieces`` [n] or [n, channels], mixed, checked and resampled."""
    place = 0
    for piece in pieces:
        samples = mixed(piece)
        check_values(samples, place)
        place += len(samples)
        if len(out := resampler.push(samples)):
            yield out
    if len(out := resampler.flush()):
        yield out


def check_values(samples: NDArray[np.float32], place: int) -> None:
    """Raise :class:`AudioNotFinite` or :class:`AudioOutOfRange` for what is no sound; ``place`` samples came before."""
    peak = float(np.abs(samples).max(initial=0))  # NaN if there is one
    if not np.isfinite(peak):
        wrong = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise AudioNotFinite(
            f"the audio is {samples[wrong]} at sample {place + wrong}; accepted: finite numbers in -1..1"
        )
    if peak > MAX_AMPLITUDE:
        raise AudioOutOfRange(f"the audio reaches {peak:g}; accepted: -1..1 (divide 16-bit integers by 32768)")


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


@contextmanager
def _reading(source: Any) -> Iterator[soundfile.SoundFile]:
    """The file, open; what libsndfile says against it, now or while it is read, is :class:`UnreadableAudio`."""
    name = _name(source)
    try:
        with _opened(name, source) as file:
            _check_header(name, file)
            yield file
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, OSError) as error:
        raise UnreadableAudio(
            f"{name} cannot be read as audio ({_reason(error)}); accepted: wav, flac, mp3, ogg, opus"
        ) from error


def check_shape(array: NDArray[Any], name: str) -> None:
    """Raise :class:`InvalidAudio` for an array that is neither [samples] nor [samples, channels]."""
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= MAX_CHANNELS):
        raise InvalidAudio(
            f"the {name} has shape {list(array.shape)}; accepted: [samples] or [samples, channels] with at most "
            f"{MAX_CHANNELS} channels"
        )


def _array_pieces(array: Any, size: int) -> Iterator[NDArray[np.float32]]:
    check_shape(array, "array")
    scaled(array[:0])  # the type is checked even where there is nothing to scale
    return (np.ascontiguousarray(scaled(array[i : i + size])) for i in range(0, len(array), size))


def _opened(name: str, source: str | os.PathLike[str] | BinaryIO) -> soundfile.SoundFile:
    if isinstance(source, (str, os.PathLike)):
        if not Path(source).is_file():
            raise UnreadableAudio(f"{name} is no file")
        return soundfile.SoundFile(os.fspath(source))
    if isinstance(source, io.TextIOBase):
        raise InvalidAudio(f"{name} was opened as text; accepted: an open binary file")
    if not (hasattr(source, "seekable") and source.seekable()):
        source = io.BytesIO(source.read())  # a pipe or a socket: libsndfile has to seek
    return soundfile.SoundFile(_Rest(source) if source.tell() else source)


class _Rest:
    """An open file from where it is: libsndfile seeks to absolute places, and finds no flac behind something else."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset + self._start if whence == os.SEEK_SET else offset, whence) - self._start


def _check_header(name: str, file: soundfile.SoundFile) -> None:
    if (match := _SHORT_CHUNK.search(file.extra_info)) and int(match["said"], 0) not in _UNKNOWN_LENGTHS:
        raise TruncatedAudio(
            f"{name} is truncated: its header says {int(match['said'], 0)} bytes of audio, {match['found']} are there"
        )


def _file_pieces(name: str, file: soundfile.SoundFile, size: int) -> Iterator[NDArray[np.float32]]:
    read = 0
    size = min(size, max(1, MOST_AT_ONCE // file.channels))
    while len(piece := file.read(size, dtype="float32", always_2d=True)):
        read += len(piece)
        yield piece
    if read < file.frames < _UNKNOWN_FRAMES:
        said = f"{name} is truncated: its header says {file.frames} samples, {read} are there"
        if file.format not in _ESTIMATED:
            raise TruncatedAudio(said)
        logger.warning("%s", said)


def _name(source: object) -> str:
    return str(getattr(source, "name", source if isinstance(source, (str, os.PathLike)) else "the file"))


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).rstrip(".")
