"""A clip's frames: an animation's by Pillow, a video's by FFmpeg's libraries, in the process that decodes.

Rule that this module guards: **a file says where nothing else lies.** A demuxer is named and never guessed, because
some are playlists that open other files; it is given an open file, and no protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image

from emotalk_avatar.decoding.frames import (
    DecodedFrame,
    Refusal,
    check_length,
    check_size,
    evenly,
    rate_of,
    too_large,
    unreadable,
)
from emotalk_avatar.decoding.pictures import opened, to_rgb
from emotalk_avatar.decoding.structure import Kind, delays, kind_of

DEMUXERS: dict[Kind, str] = {"mp4": "mov", "webm": "matroska"}
DECODERS = "h264,hevc,vp8,libvpx,vp9,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg4,mjpeg"
"""FFmpeg's names of what may decode a video."""
ACCEPTED = "mp4, mov, webm, GIF or animated WEBP"
_HEAD = 64


def frames(file: BinaryIO) -> Iterator[DecodedFrame]:
    """Yield the frames of the clip in ``file``, evenly.

    Raises:
        Refusal: it is not taken.
    """
    kind = kind_of(file.read(_HEAD))
    file.seek(0)
    if kind in ("gif", "webp"):
        yield from _animated(file.read(), kind)
    elif kind in ("mp4", "webm"):
        yield from _filmed(file, kind)
    else:
        raise unreadable(f"the file is not a clip, or a damaged one; accepted: {ACCEPTED}")


def _animated(data: bytes, kind: Kind) -> Iterator[DecodedFrame]:
    stands: list[float] = []
    end_s = 0.0
    for seconds in delays(data, kind):  # before anything is decoded
        stands.append(seconds)
        end_s += seconds
        check_length(end_s)
    if not stands:
        raise unreadable("the animation has no frame in it; accepted: one or more")
    image = opened(data)
    check_size(*image.size)
    fps = rate_of(1 / min(stands))

    def in_order() -> Iterator[tuple[float, Image.Image]]:
        end_s = 0.0
        for number, seconds in enumerate(stands):
            end_s += seconds
            try:
                image.seek(number)
                image.load()
            except EOFError:  # the file breaks off
                return
            except MemoryError:
                raise _much() from None
            except Exception as error:
                raise unreadable(f"frame {number} of the animation is damaged ({str(error)[:200]})") from error
            check_size(*image.size)
            yield end_s, image

    for one in evenly(in_order(), fps):
        rgb = to_rgb(one)(one)
        yield DecodedFrame(rgb.tobytes(), rgb.width, rgb.height, fps)


def _much() -> Refusal:
    return too_large("the clip takes more memory than is allowed; accepted: fewer or smaller frames")


def _filmed(file: BinaryIO, kind: Kind) -> Iterator[DecodedFrame]:
    import av

    options = {"codec_whitelist": DECODERS, "protocol_whitelist": "", "enable_drefs": "0"}
    try:
        with av.open(file, format=DEMUXERS[kind], options=options) as container:
            yield from _shown(container)
    except MemoryError:
        raise _much() from None
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        raise unreadable(f"the video is damaged, or of a kind that is not taken ({str(error)[:200]})") from error


def _shown(container: Any) -> Iterator[DecodedFrame]:
    if not container.streams.video:
        raise unreadable("the file has no video in it; accepted: a video of a face")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    check_size(stream.codec_context.width, stream.codec_context.height)
    if stream.duration is not None and stream.time_base is not None:
        check_length(float(stream.duration * stream.time_base))
    fps = rate_of(float(stream.average_rate or stream.guessed_rate or 0))
    size: tuple[int, int] | None = None
    for frame in evenly(_ending(container.decode(stream), 1 / fps), fps):
        rgb, width, height = _upright(frame)
        size = size or (width, height)
        if (width, height) != size:
            raise unreadable(
                f"the video's frames change from {size[0]} by {size[1]} to {width} by {height} pixels; accepted: one "
                "size"
            )
        yield DecodedFrame(rgb, width, height, fps)
    if size is None:
        raise unreadable("the video has no frame that can be decoded; accepted: one or more")


def _ending(decoded: Iterator[Any], last_s: float) -> Iterator[tuple[float, Any]]:
    """Yield each frame and the second, after the first began, at which it ends; the last stands ``last_s``."""
    first_s: float | None = None
    begun_s, waiting = 0.0, None
    for frame in decoded:
        check_size(frame.width, frame.height)
        at_s = frame.time if frame.time is not None else begun_s + last_s
        first_s = at_s if first_s is None else first_s
        at_s = max(at_s - first_s, begun_s)
        if waiting is not None:
            yield at_s, waiting
        begun_s, waiting = at_s, frame
    if waiting is not None:
        yield begun_s + last_s, waiting


def _upright(frame: Any) -> tuple[bytes, int, int]:
    """Return the pixels, width and height of ``frame``, turned as it says that a screen should."""
    image = frame.to_image()
    turn = round(frame.rotation / 90) % 4
    if turn:
        image = image.transpose(
            {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}[turn]
        )
    return image.tobytes(), image.width, image.height
