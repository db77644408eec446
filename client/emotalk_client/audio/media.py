"""Recordings of browsers and phones (webm, mp4, m4a, …), decoded by FFmpeg's libraries where PyAV is installed.

Rule that this module guards: **a recording lines up with its sound**: what an encoder put before the first sample
(opus' pre-skip, AAC's priming) and after the last is cut, and where packets are missing there is silence. Packets are
decoded one by one; a file is never in memory whole, whatever its header says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emotalk_client.audio.arrays import MAX_CHANNELS, MOST_AT_ONCE, scaled
from emotalk_client.audio.boxes import check_packets
from emotalk_client.audio.notices import Notices
from emotalk_client.audio.resampler import MAX_RATE
from emotalk_client.errors import MissingDecoder, TruncatedAudio, UnreadableAudio

DEMUXERS = {
    "webm": "matroska",
    "mkv": "matroska",
    "mp4": "mov",
    "aac": "aac",
    "asf": "asf",
    "avi": "avi",
    "amr": "amr",
    "flv": "flv",
    "ogg": "ogg",
    "caf": "caf",
    "flac": "flac",
    "mp3": "mp3",
    "wav": "wav",
    "w64": "w64",
    "aiff": "aiff",
    "au": "au",
    "voc": "voc",
}
"""FFmpeg's demuxer of each kind of :func:`~emotalk_client.audio.containers.container`. It is named, never guessed: some
demuxers are playlists, which open other files."""
ONLY_HERE = {"webm", "mkv", "mp4", "aac", "asf", "avi", "amr", "flv"}
"""Kinds that libsndfile does not read."""
_TELLS_ITS_LENGTH = {"webm", "mkv", "mp4", "caf"}
"""Kinds whose header has a length that is not estimated, where it has one."""

_SHORTEST_GAP_S = 0.1
"""Shorter steps of a recording's clock are jitter."""
_LONGEST_GAP_S = 60.0
"""Longer steps of a recording's clock are mistakes."""
_MISSING_S = 0.5
"""Seconds less than the header says, from which on a file is truncated."""
_ENDLESS_ERRORS = 100
"""Packets in a row that cannot be decoded, at most."""


class MediaFile:
    """An open recording: the same few attributes and methods as a ``soundfile.SoundFile``."""

    def __init__(self, container: Any, kind: str, name: str, notices: Notices) -> None:
        self._container = container
        self._kind = kind
        self._name = name
        self._notices = notices
        if not container.streams.audio:
            raise UnreadableAudio(f"{name} has no sound in it; accepted: a file with an audio stream")
        self._stream = container.streams.audio[0]
        self._stream.codec_context.thread_count = 1
        self._first_pts: int | None = None
        self._decoded = self._frames()
        first = next(self._decoded, None)
        if first is None:
            raise UnreadableAudio(f"{name} has an audio stream of which nothing can be decoded")
        self._first: Any = first
        self.samplerate: int = first.sample_rate
        if not 1 <= self.samplerate <= MAX_RATE:
            raise UnreadableAudio(f"{name} has a rate of {self.samplerate} Hertz; accepted: 1..{MAX_RATE}")
        self._primed = self._first.samples if self._is_primed() else 0
        self._length_s = max(0.0, self._told_length_s() - self._primed / self.samplerate)
        self.frames: int = round(self._length_s * self.samplerate)
        """Samples a channel that the header says; 0 where it does not."""

    def pieces(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield the sound [n, channels], of which n is about ``size``.

        Raises:
            TruncatedAudio: the file ends before its header says.
            UnreadableAudio: it changes its rate midway.
        """
        given = 0
        most = self._most_samples()
        waiting: list[NDArray[np.float32]] = []
        for samples in self._in_time():
            if most and given + len(samples) >= most:
                waiting.append(samples[: most - given])
                given = most
                break
            if waiting and waiting[0].shape[1] != samples.shape[1]:
                yield np.concatenate(waiting)
                waiting = []
            waiting.append(samples)
            given += len(samples)
            if sum(map(len, waiting)) >= min(size, MOST_AT_ONCE // samples.shape[1]):
                yield np.concatenate(waiting)
                waiting = []
        if waiting:
            yield np.concatenate(waiting)
        missing_s = self._length_s - given / self.samplerate
        if missing_s > max(_MISSING_S, 0.01 * self._length_s):
            raise TruncatedAudio(
                f"{self._name} is truncated: its header says {self._length_s:.3f} s, "
                f"{given / self.samplerate:.3f} s are there"
            )

    def _in_time(self) -> Iterator[NDArray[np.float32]]:
        """Yield the frames' samples, and silence where the recording's clock leaps."""
        due: float | None = None
        frame = next(self._decoded, None) if self._primed else self._first
        while frame is not None:
            if frame.sample_rate != self.samplerate:
                raise UnreadableAudio(
                    f"{self._name} changes its rate from {self.samplerate} to {frame.sample_rate} Hertz; accepted: one"
                )
            samples = _samples(frame, self._name)
            if frame.pts is not None and frame.time_base is not None:
                at = float(frame.pts * frame.time_base)
                gap_s = at - due if due is not None else 0.0
                if _SHORTEST_GAP_S < gap_s <= _LONGEST_GAP_S:
                    yield from _silence(round(gap_s * self.samplerate), samples.shape[1])
                    due = at
                due = (at if due is None or gap_s > _LONGEST_GAP_S else due) + len(samples) / self.samplerate
            yield samples
            frame = next(self._decoded, None)

    def _frames(self) -> Iterator[Any]:
        """Yield decoded frames. What cannot be decoded is left out; where the file breaks off is its end."""
        import av

        failed = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, EOFError) as error:
                self._notices.warn(f"{self._name} breaks off ({_said(error)}); what came before is used")
                return
            if self._first_pts is None:
                self._first_pts = packet.pts
            try:
                decoded = packet.decode()
                failed = 0
            except (av.error.FFmpegError, EOFError) as error:
                failed += 1
                self._notices.warn(f"{self._name} has damaged sound in it ({_said(error)}); it is left out")
                if failed > _ENDLESS_ERRORS:
                    return
                continue
            yield from decoded

    def _is_primed(self) -> bool:
        """True if the first frame comes before the sound.

        An AAC encoder cannot but put one there, and most files tell (an edit list, negative times), so that the decoder
        leaves it out. Where nothing was left out though the first packet lies at 0 or later, the file does not tell.
        """
        aac = self._stream.codec_context.name.startswith("aac")
        return aac and self._first_pts is not None and self._first_pts >= 0 and self._first.pts == self._first_pts

    def _told_length_s(self) -> float:
        if self._kind not in _TELLS_ITS_LENGTH:
            return 0.0
        if self._stream.duration is not None and self._stream.time_base is not None:
            return max(0.0, float(self._stream.duration * self._stream.time_base))
        return max(0.0, (self._container.duration or 0) / 1_000_000)

    def _most_samples(self) -> int:
        """Samples after which there is only an encoder's padding; 0 where that is not known. Never much more than the
        header says, by which callers judge what they let in."""
        rounding = 0 if self._kind == "mp4" or not self.frames else self.samplerate
        return self.frames + rounding


def installed() -> bool:
    """Return whether PyAV is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def opened_media(file: BinaryIO, kind: str, name: str, notices: Notices) -> Iterator[MediaFile]:
    """Yield the recording ``file``, open.

    Args:
        file: can seek; is read from its beginning.
        kind: as :func:`~emotalk_client.audio.containers.container` names it, a key of :data:`DEMUXERS`.

    Raises:
        MissingDecoder: PyAV is not installed.
        UnreadableAudio: FFmpeg finds no sound in it.
    """
    try:
        import av
    except ImportError:
        raise MissingDecoder(
            f"{name} is {kind}, which takes a decoder that is not installed: pip install 'emotalk-triton[media]'; "
            "accepted without it: wav, flac, mp3, ogg, opus, aiff"
        ) from None
    if kind == "mp4":
        check_packets(file, name)
    file.seek(0)
    try:
        with av.open(file, format=DEMUXERS[kind], metadata_errors="ignore") as container:
            yield MediaFile(container, kind, name, notices)
    except (av.error.FFmpegError, EOFError) as error:
        raise UnreadableAudio(f"{name} cannot be read as {kind} ({_said(error)})") from error


def _samples(frame: Any, name: str) -> NDArray[np.float32]:
    """The frame's samples [n, channels], -1..1."""
    channels = frame.layout.nb_channels
    if not 1 <= channels <= MAX_CHANNELS:
        raise UnreadableAudio(f"{name} has {channels} channels; accepted: 1..{MAX_CHANNELS}")
    array = frame.to_ndarray()
    planes = array.T if frame.format.is_planar else array.reshape(-1, channels)
    return np.ascontiguousarray(scaled(planes))


def _silence(samples: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """``samples`` of silence, in pieces of a bounded size."""
    most = max(1, MOST_AT_ONCE // channels)
    for start in range(0, samples, most):
        yield np.zeros((min(most, samples - start), channels), np.float32)


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
