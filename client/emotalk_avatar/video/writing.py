"""Pictures and sound into a file: mp4 or webm.

Rule that this module guards: **picture k is shown from k / fps seconds on, and sample n is heard at n / rate**, from
the first to the last, whatever the codecs put before them. PyAV's wheel brings the codecs: H.264 and AAC for mp4 where
it has libx264, else VP9 and Opus in it; VP9 and Opus for webm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotalk_avatar.video.errors import InvalidVideo, UnwritableVideo
from emotalk_client.errors import MissingExtra, UnknownFormat
from emotalk_contract.quoting import quoted

SYNTHETIC = "Synthetic: a face that software moved to speech (emotalk-triton)"
"""In the metadata of every file."""
SUFFIXES = (".mp4", ".webm")
SOUND_RATE = 48_000
"""Hertz of the sound in a file: the one that Opus has."""
MAX_FPS = 60
GOP_S = 2.0
"""Seconds from one keyframe to the next."""
_VIDEO_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "6", "crf": "28", "b": "0", "row-mt": "1"},
}
_SOUND_BIT_RATE = {"aac": 128_000, "libopus": 96_000}
_BT709 = 1
"""FFmpeg's number of ITU-R BT.709, of primaries, transfer and matrix alike."""


class Movie:
    """A file in the making; use it in a ``with`` block, at whose end it is whole.

    Args:
        path: ends in one of :data:`SUFFIXES`, unless ``suffix`` says the kind.
        size: width and height; of an odd one, a row or a column is left out, for the codecs want pairs.
        fps: pictures a second.
        channels: 1 or 2, of the sound; 0: there is none.
        threads: of the video's encoder; 0: as many as it likes.

    Raises:
        MissingExtra: PyAV is not installed.
        UnknownFormat: the suffix is another.
        UnwritableVideo: the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        channels: int,
        *,
        suffix: str | None = None,
        threads: int = 0,
    ) -> None:
        import_av()
        kind = check_suffix(suffix or path.suffix)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._path = path
        self._width, self._height = (side & ~1 for side in size)
        self._pictures = 0
        self._samples = 0
        with self._writing():
            self._file = _opened(path, kind)
            self._video = self._video_stream(kind, threads)
            self._sound = self._sound_stream(kind, channels) if channels else None
            self._file.start_encoding()  # opens the file

    def __enter__(self) -> Movie:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with suppress(UnwritableVideo), self._writing():  # what went wrong first is told
                self._file.close()
            return
        with self._writing():
            self._mux(self._video, None)
            if self._sound is not None:
                self._mux(self._sound, None)
            self._file.close()

    def picture(self, pixels: NDArray[np.uint8]) -> None:
        """Append RGB [height, width, 3]; raises :class:`UnwritableVideo`."""
        frame = yuv(np.ascontiguousarray(pixels[: self._height, : self._width]))
        frame.pts, frame.time_base = self._pictures, 1 / self._rate
        self._pictures += 1
        with self._writing():
            self._mux(self._video, frame)

    def sound(self, samples: NDArray[np.float32]) -> None:
        """Append [n, channels], -1..1, at :data:`SOUND_RATE`; raises :class:`UnwritableVideo`."""
        import av

        assert self._sound is not None  # noqa: S101  # the caller said how many channels
        layout = "mono" if samples.shape[1] == 1 else "stereo"
        for start in range(0, len(samples), SOUND_RATE):
            part = np.ascontiguousarray(samples[start : start + SOUND_RATE].T)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = SOUND_RATE, Fraction(1, SOUND_RATE), self._samples
            self._samples += part.shape[1]
            with self._writing():
                self._mux(self._sound, frame)

    def _mux(self, stream: Any, frame: Any) -> None:
        for packet in stream.encode(frame):
            self._file.mux(packet)

    def _video_stream(self, kind: str, threads: int) -> Any:
        codec = "libx264" if kind == ".mp4" and has_codec("libx264") else "libvpx-vp9"
        stream = self._file.add_stream(codec, rate=self._rate, options=_VIDEO_OPTIONS[codec])
        stream.width, stream.height = self._width, self._height
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.thread_count = threads
        context.gop_size = round(GOP_S * self._rate)
        tag_colours(context)
        return stream

    def _sound_stream(self, kind: str, channels: int) -> Any:
        codec = "aac" if kind == ".mp4" and has_codec("libx264") else "libopus"
        stream = self._file.add_stream(codec, rate=SOUND_RATE, layout="mono" if channels == 1 else "stereo")
        stream.bit_rate = _SOUND_BIT_RATE[codec]
        return stream

    @contextmanager
    def _writing(self) -> Iterator[None]:
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise UnwritableVideo(f"{self._path} cannot be written: {error.strerror or error}") from error


def check_suffix(suffix: str) -> str:
    """Return ``suffix`` in small letters; raise :class:`UnknownFormat` where it is not one of :data:`SUFFIXES`."""
    if suffix.lower() not in SUFFIXES:
        raise UnknownFormat(f"the video ends in {quoted(suffix)}; accepted: {', '.join(SUFFIXES)}")
    return suffix.lower()


def check_fps(fps: object) -> float:
    """Return ``fps``; raise :class:`InvalidVideo` where it is not a rate of 1 to :data:`MAX_FPS`."""
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 1 <= fps <= MAX_FPS:
        raise InvalidVideo(f"fps is {quoted(fps)}; accepted: 1..{MAX_FPS}")
    return float(fps)


def import_av() -> Any:
    """Return PyAV; raise :class:`MissingExtra` where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise MissingExtra("videos need PyAV; install `emotalk-triton[video]`") from error
    return av


def has_codec(name: str) -> bool:
    """True where FFmpeg's libraries have the encoder ``name``."""
    import av

    try:
        av.codec.Codec(name, "w")
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def yuv(pixels: NDArray[np.uint8]) -> Any:
    """Return RGB [height, width, 3] as a frame of 4:2:0, BT.709, limited range."""
    import av

    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return frame.reformat(format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709", dst_color_range="MPEG")


def tag_colours(context: Any) -> None:
    """Say in the stream of ``context`` what :func:`yuv` makes."""
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = 1  # FFmpeg's number of the limited one


def _opened(path: Path, kind: str) -> Any:
    import av

    options = {"movflags": "+faststart"} if kind == ".mp4" else {}
    file = av.open(str(path), "w", format=kind.removeprefix("."), options=options)
    file.metadata["comment"] = SYNTHETIC
    return file
