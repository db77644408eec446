"""Files of any container, open for reading.

libsndfile reads what it can (wav, flac, ogg, mp3, aiff, …); FFmpeg's libraries read the rest, where they are installed.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from emotalk_client.audio.arrays import MOST_AT_ONCE
from emotalk_client.audio.containers import HEAD, container
from emotalk_client.audio.media import DEMUXERS, ONLY_HERE, installed, opened_media
from emotalk_client.audio.notices import Notices
from emotalk_client.audio.parts import Part
from emotalk_client.audio.pipes import name_of, seekable, spooled
from emotalk_client.audio.wav import MP3_TAG, looks_made_up, read_header, repaired
from emotalk_client.errors import InvalidAudio, MissingDecoder, TruncatedAudio, UnreadableAudio

ACCEPTED = "wav, flac, mp3, ogg, opus, aiff; with the extra `media`, webm, mp4, m4a and others"

_UNTOLD_FRAMES = 2**62
"""From here on, libsndfile's number of frames means that the header has none."""
_MP3_TOLD = (b"Xing", b"Info", b"VBRI")
"""In an mp3's first frame, these stand before its true length; without them it is only guessed."""
_MP3_FRAME = 2048
"""Bytes of an mp3's first frame, at most."""
_AU_DATA_SIZE = slice(8, 12)
_AU_UNTOLD = b"\xff" * 4
_SHORT_CHUNK = re.compile(
    r"^\s*(?:data|riff|SSND|Data Size)\s*:\s*(?P<said>\d+|0x[0-9A-Fa-f]+) \(should be (?P<found>\d+)\)", re.MULTILINE
)
"""A note in libsndfile's log of a chunk that is longer than the file: "data : 64000 (should be 31956)"."""


class Sound(Protocol):
    """An open file."""

    samplerate: int
    """Hertz."""
    frames: int
    """Samples a channel, as the header says; 0 where it does not."""

    def pieces(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield the sound [n, channels], of which n is about ``size``."""


class _SndFile:
    """A file that libsndfile reads."""

    def __init__(self, file: soundfile.SoundFile, name: str, notices: Notices, told: bool) -> None:
        self._file = file
        self._name = name
        self._notices = notices
        self._told = told
        self.samplerate: int = file.samplerate
        self.frames: int = file.frames if file.frames < _UNTOLD_FRAMES else 0

    def pieces(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield the sound [n, channels].

        Raises:
            TruncatedAudio: the file ends before its header says. Of an mp3, what is there is used, and that is logged.
        """
        read = 0
        size = min(size, max(1, MOST_AT_ONCE // self._file.channels))
        while len(piece := self._file.read(size, dtype="float32", always_2d=True)):
            read += len(piece)
            yield piece
        if read < self.frames and self._told:
            said = f"{self._name} is truncated: its header says {self.frames} samples, {read} are there"
            if self._file.format != "MP3":
                raise TruncatedAudio(said)
            self._notices.warn(said)


@contextmanager
def opened(source: str | os.PathLike[str] | BinaryIO, notices: Notices) -> Iterator[Sound]:
    """Yield the file ``source``, open.

    Args:
        source: a path, or an open binary file, which is read from where it is. A pipe is read to its end first.
        notices: told of what is odd about it.

    Raises:
        UnreadableAudio: there is not such a file, or it cannot be read as audio; also while it is being read.
        TruncatedAudio: it ends before its header says.
        MissingDecoder: it takes a decoder that is not installed.
        InvalidAudio: it is open as text, or a pipe without end.
    """
    name = name_of(source)
    try:
        with ExitStack() as stack:
            file = _bytes_of(source, name, stack)
            yield _sound(file, name, notices, stack)
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, OSError) as error:
        raise _unreadable(name, error) from error


def _bytes_of(source: str | os.PathLike[str] | BinaryIO, name: str, stack: ExitStack) -> BinaryIO:
    """``source`` as a file that can seek, from its beginning."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            raise UnreadableAudio(f"{name} is a folder, not a file; accepted: an audio file")
        if not path.exists():
            raise UnreadableAudio(f"{name} is not a file: nothing is there; accepted: an audio file")
        if path.is_file():
            return stack.enter_context(path.open("rb"))
        return _file(stack.enter_context(spooled(source)))  # a pipe with a name
    if isinstance(source, io.TextIOBase):
        raise InvalidAudio(f"{name} was opened as text; accepted: an open binary file")
    if not seekable(source):
        return _file(stack.enter_context(spooled(source)))
    start = source.tell()
    if start == 0:
        return source
    return _file(Part(source, start, source.seek(0, os.SEEK_END) - start, name=name))


def _file(part: Part) -> BinaryIO:
    """``part`` by the name that libraries know: it has all that they use."""
    file: Any = part
    return file  # type: ignore[no-any-return]


def _sound(file: BinaryIO, name: str, notices: Notices, stack: ExitStack) -> Sound:
    file.seek(0)
    head = file.read(HEAD)
    kind = container(head)
    if kind in ONLY_HERE:
        return stack.enter_context(opened_media(file, kind, name, notices))
    content, told = _content(file, head, kind, name)
    content.seek(0)
    try:
        sound = stack.enter_context(soundfile.SoundFile(content))
    except soundfile.LibsndfileError as error:
        # Of an ogg, which may hold anything, the lack of a decoder is the likely cause.
        if kind not in DEMUXERS or (kind != "ogg" and not installed()):
            raise
        try:
            return stack.enter_context(opened_media(file, kind, name, notices))
        except MissingDecoder:
            raise
        except UnreadableAudio:
            raise _unreadable(name, error) from error
    _check_length(name, sound)
    return _SndFile(sound, name, notices, told)


def _content(file: BinaryIO, head: bytes, kind: str | None, name: str) -> tuple[BinaryIO, bool]:
    """The part of ``file`` that libsndfile is to read, and whether that tells its length."""
    if kind == "mp3":
        return file, _mp3_told(file, head)
    if kind == "au" and head[_AU_DATA_SIZE] == bytes(4):
        start = _AU_DATA_SIZE.stop
        size = file.seek(0, os.SEEK_END) - start
        return _file(Part(file, start, size, head[: _AU_DATA_SIZE.start] + _AU_UNTOLD)), True
    header = read_header(file, name) if kind == "wav" else None
    if header is not None and header.tag == MP3_TAG:
        mp3 = _file(Part(file, header.start, header.samples))
        return mp3, _mp3_told(mp3, b"")
    if header is not None and header.placeholder:
        return _file(repaired(file, header)), True
    return file, True


def _mp3_told(file: BinaryIO, head: bytes) -> bool:
    """True if the first frame of an mp3 tells its length."""
    start = 0
    if head.startswith(b"ID3") and len(head) >= 10:
        start = 10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10])))
    file.seek(start)
    frame = file.read(_MP3_FRAME)
    return any(mark in frame for mark in _MP3_TOLD)


def _check_length(name: str, file: soundfile.SoundFile) -> None:
    """Raise :class:`TruncatedAudio` where libsndfile noted that the file is shorter than its header says."""
    for match in _SHORT_CHUNK.finditer(file.extra_info):
        claimed, there = int(match["said"], 0), int(match["found"])
        rate = round(there / max(1, file.frames) * file.samplerate)
        if claimed > there and not looks_made_up(claimed, there, rate):
            raise TruncatedAudio(f"{name} is truncated: its header says {claimed} bytes of audio, {there} are there")


def _unreadable(name: str, error: Exception) -> UnreadableAudio:
    reason = str(getattr(error, "error_string", error)).rstrip(".")
    return UnreadableAudio(f"{name} cannot be read as audio ({reason}); accepted: {ACCEPTED}")
